"""Files that tell whose an address is, known by what is in them.

A MaxMind DB (MaxMind's, IPinfo's and others); a routing table as collectors dump it (MRT, RFC 6396); prefixes and
systems as text, CAIDA's pfx2as, lines of `PREFIX ASN`, or `bgpdump -m`; RPSL of an Internet routing registry; JSON, one
object, an array or one a line: RDAP answers (RFC 9083), or objects with `prefix`, `asn`, `as_name`, `country`, `abuse`.
All but a MaxMind DB may be compressed by gzip or bzip2. A folder is read with all files in it, as if they were one: the
narrowest prefix tells, and of equal ones the first file's.
"""

import bz2
import gzip
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from dnsonde.errors import SystemRefusal, UsageError
from dnsonde.owners import lines, mrt, rdap, rpsl
from dnsonde.owners.maxmind import MaxMind, is_maxmind
from dnsonde.owners.owner import Address, Entry, Owner
from dnsonde.owners.ranges import Prefixes
from dnsonde.utf8 import NotUtf8Error, without_mark

PACKED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2"}
PACKED_BY: dict[str, Callable[[BinaryIO], Any]] = {"gzip": gzip.open, "bzip2": bz2.open}
HEAD = 12  # octets by which MRT is known


class Source(Protocol):
    """A file that can be asked."""

    def find(self, address: Address) -> tuple[int, Owner]:
        """What it knows of an address, and the last address (a number) up to which it says the same."""
        ...


def open_source(path: Path) -> list[Source]:
    """A file, or all files of a folder, to be asked. UsageError for what is none of those that we read.

    In a folder a file that tells of no prefix is passed over: a licence lies beside most databases. Texts are asked
    before databases, which know no prefixes of routing.
    """
    entries: list[Entry] = []
    databases: list[Source] = []
    try:
        for file in sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]:
            if is_maxmind(file):
                databases.append(MaxMind(file))
                continue
            try:
                entries += _entries(file)
            except _NothingToldError:
                if file == path:
                    raise
    except OSError as error:
        raise SystemRefusal(f"{path} cannot be read: {error.strerror or error}") from error
    if not (entries or databases):
        raise UsageError(f"{path} has no file in it that tells whose an address is: name one that has")
    return [Prefixes(entries), *databases] if entries else databases


class _NothingToldError(UsageError):
    """A file that is not damaged, and has nothing that we look for."""


def _entries(path: Path) -> list[Entry]:
    with path.open("rb") as file:
        packed = next((kind for mark, kind in PACKED.items() if file.peek(4).startswith(mark)), None)
        try:
            plain: Any = PACKED_BY[packed](file) if packed else file
            head = plain.read(HEAD)
            if mrt.is_mrt(head):
                plain.seek(0)
                return _of_mrt(path, plain)
            raw = head + plain.read()
        except (OSError, EOFError, zlib.error) as error:
            if packed is None:
                raise
            raise UsageError(f"{path} is a damaged {packed} file: get it again") from error
    try:
        text = without_mark(raw).decode("utf-8", "replace")
    except NotUtf8Error as error:
        raise UsageError(f"{path} {error}") from None
    head = text.lstrip()
    if head[:1] in {"{", "["}:
        found = _of_json(path, text)
    elif rpsl.OBJECT.search(text):
        found = list(rpsl.entries(text))
    else:
        found = list(lines.entries(text))
    if not found:
        raise _NothingToldError(
            f"{path} tells of no prefix: give a .mmdb, a routing table (MRT, or `bgpdump -m` of it), a pfx2as text, "
            "RPSL, or JSON of RDAP answers"
        )
    return found


def _of_mrt(path: Path, file: BinaryIO) -> list[Entry]:
    try:
        found = list(mrt.entries(file))
    except ValueError as error:
        raise UsageError(f"{path} is a damaged routing table ({error}): get it again") from error
    if not found:
        raise _NothingToldError(
            f"{path} is MRT with no routing table in it: give a dump of the RIB, not of updates"
        )
    return found


def _of_json(path: Path, text: str) -> list[Entry]:
    try:
        return list(rdap.entries(text))
    except ValueError as error:
        raise UsageError(f"{path} is no JSON ({error}): get it again") from error
    except RecursionError:
        raise UsageError(f"{path} is nested too deep to be an RDAP answer") from None
