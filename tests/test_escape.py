"""What a stranger writes cannot steer a terminal, and means the same to a shell."""

import os
import subprocess
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsonde import look
from dnsonde.errors import RunError
from dnsonde.escape import STEERING, terminal, typed, utf8
from dnsonde.view.open import open_view


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


@pytest.mark.parametrize(
    "name",
    [
        "lake",
        "it's [mine] $HOME `x`",
        "пример",
        "caf\udce9",
        "a\x1b]0;owned\x07\\'b",
        "two\nlines",
        "-o",
        "-\n",
    ],
)
def test_any_path_is_typed_so_that_a_shell_has_it_back(name: str) -> None:
    said = typed(Path(name))
    assert terminal(said, keep="") == said
    ran = subprocess.run(["bash", "-c", f"printf %s {said}"], check=True, capture_output=True)
    assert ran.stdout.removeprefix(b"./") == os.fsencode(name)
    assert not said.startswith("-"), "or it would be an option"


def test_refusals_name_folders_so_that_a_shell_has_them_back(tmp_path: Path) -> None:
    folder = tmp_path / "a;touch x"
    folder.mkdir()
    for refused in (look.judged, open_view):
        with pytest.raises(RunError, match=f"`dnsonde join '{folder}'`"):
            refused(folder)


@given(st.text())
def test_nothing_that_steers_is_left(text: str) -> None:
    assert all(unicodedata.category(c) not in STEERING for c in terminal(text, keep=""))
