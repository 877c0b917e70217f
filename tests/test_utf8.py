"""Text that people bring, as Windows and old Macs write it too."""

import pytest

from dnsonde.utf8 import NotUtf8Error, text_of, without_mark

TEXT = "192.0.2.1  # café\nexample.net\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_marks_and_line_ends_are_no_part_of_it(encoding: str, ends: str) -> None:
    assert text_of(TEXT.replace("\n", ends).encode(encoding)) == TEXT


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf16_is_told_with_and_without_a_mark(encoding: str) -> None:
    for read in (text_of, without_mark):
        with pytest.raises(NotUtf8Error, match=r"^is UTF-16 text: save it as UTF-8$"):
            read(TEXT.encode(encoding))


def test_of_other_text_the_octet_is_told() -> None:
    with pytest.raises(NotUtf8Error, match=r"^is not UTF-8 text \(octet 16\)"):
        text_of(TEXT.encode("latin-1"))


@pytest.mark.parametrize("octets", [b"", b"a", b"\0"])
def test_what_is_too_short_for_either_is_text(octets: bytes) -> None:
    assert text_of(octets) == octets.decode()
