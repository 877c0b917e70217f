"""Text that people bring in files: UTF-8, with or without the mark (BOM) that some editors put before it."""

import codecs

UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
LOOKED_AT = 64  # octets, of which every other one is 0 in UTF-16 without a mark


class NotUtf8Error(ValueError):
    """Octets that are no such text; reads on from the file's name: what they are, and what to do."""


def text_of(octets: bytes) -> str:
    """The text, without its mark, its lines ended by newlines alone; NotUtf8Error where it is none."""
    octets = without_mark(octets)
    try:
        return octets.decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        raise NotUtf8Error(f"is not UTF-8 text (octet {error.start}): save it as UTF-8") from None


def without_mark(octets: bytes) -> bytes:
    """A file's first octets, without the mark; NotUtf8Error where they are of UTF-16."""
    first = octets[:LOOKED_AT]
    if first.startswith(UTF16) or (len(first) > 1 and not (any(first[::2]) and any(first[1::2]))):
        raise NotUtf8Error("is UTF-16 text: save it as UTF-8")
    return octets.removeprefix(codecs.BOM_UTF8)
