"""Text by strangers, made harmless for the face that shows it, and for the shell that it is copied to."""

import os
import shlex
import unicodedata
from pathlib import Path

# Control characters (ESC and C1 among them), format characters (bidi overrides), surrogates, private use,
# line and paragraph separators.
STEERING = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}


def terminal(text: str, keep: str = "\n") -> str:
    r"""Write what would steer a terminal as `\xNN` or `\uNNNN`; letters of every script stay, and `keep`."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c in keep or unicodedata.category(c) not in STEERING else _spelled(c) for c in text)


def utf8(path: str) -> str:
    r"""A path as text: an octet that is no UTF-8, as a file of another time may have in its name, as `\xNN`."""
    return os.fsencode(path).decode(errors="backslashreplace")


def typed(path: Path) -> str:
    """A path as it is to be typed to a shell, with what cannot be typed spelled out."""
    text = str(path)
    if text.startswith("-"):  # which would be an option
        path, text = Path(f"./{text}"), f"./{text}"
    if terminal(text, keep="") == text:
        return shlex.quote(text)
    octets = (chr(o) if 0x20 <= o < 0x7F and o not in b"\\'" else f"\\x{o:02x}" for o in os.fsencode(path))
    return f"$'{''.join(octets)}'"


def _spelled(character: str) -> str:
    number = ord(character)
    if 0xDC80 <= number <= 0xDCFF:  # an octet of a path that is no UTF-8
        number -= 0xDC00
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
