"""What can be set, and how what is typed becomes it."""

from typing import Annotated

import pytest

from dnsonde.errors import UsageError
from dnsonde.settings import checked, parameters


def form(*, many: Annotated[int, "how many"] = 1, share: Annotated[float, "of all"] = 0.5,
         sure: Annotated[bool, "or not"] = False, name: Annotated[str, "of it"] = "") -> None:  # fmt: skip
    """Do nothing."""


def test_a_signature_says_what_can_be_set() -> None:
    assert [(p.name, p.type, p.default, p.meaning) for p in parameters(form)] == [
        ("many", int, 1, "how many"), ("share", float, 0.5, "of all"), ("sure", bool, False, "or not"),
        ("name", str, "", "of it"),
    ]  # fmt: skip


def test_texts_become_what_they_are() -> None:
    texts = {"many": "7", "share": "0.25", "sure": "yes", "name": "7"}
    settings = {"many": 7, "share": 0.25, "sure": True, "name": "7"}
    assert checked("it", parameters(form), texts) == checked("it", parameters(form), settings) == settings


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ({"many": "x"}, "many of the form takes a whole number, not 'x'"),
        ({"share": "x"}, "share of the form takes a number, not 'x'"),
        ({"sure": "perhaps"}, "sure of the form takes true or false, not 'perhaps'"),
        ({"more": "1"}, "the form has no setting 'more'; it has: many, share, sure, name"),
    ],
)
def test_what_cannot_be_meant_is_a_sentence(texts: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError) as raised:
        checked("the form", parameters(form), texts)
    assert str(raised.value) == said
