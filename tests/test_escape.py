"""What a stranger writes cannot steer a terminal."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from dnsonde.escape import STEERING, terminal, utf8


def test_letters_of_every_script_stay() -> None:
    assert terminal("www.пример.example, 例え, naïve") == "www.пример.example, 例え, naïve"


def test_escape_and_bidi_are_spelled_out() -> None:
    assert terminal("\x1b]0;owned\x07") == r"\x1b]0;owned\x07"
    assert terminal("a\u202eb\U000e0001") == r"a\u202eb\U000e0001"


def test_an_octet_of_a_path_is_spelled_as_such() -> None:
    assert terminal("caf\udce9") == r"caf\xe9" == utf8("caf\udce9")
    assert terminal("\ud800") == r"\ud800"


def test_line_breaks_stay_only_where_wanted() -> None:
    assert terminal("a\nb\r") == "a\nb\\x0d"
    assert terminal("a\nb", keep="") == r"a\x0ab"


@given(st.text())
def test_nothing_that_steers_is_left(text: str) -> None:
    assert all(unicodedata.category(c) not in STEERING for c in terminal(text, keep=""))
