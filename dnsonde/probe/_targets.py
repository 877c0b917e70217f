"""Lists of addresses and prefixes, from a plan or from a file of millions of lines."""

import re
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import TypeGuard

import numpy as np
from numpy.typing import NDArray

from dnsonde.probe.order import Ranges
from dnsonde.table.prefix import MAPPED
from dnsonde.utf8 import LOOKED_AT, NotUtf8Error, without_mark
from dnsonde.wire.batch import address_pair
from dnsonde.wire.codes import LineStatus
from dnsonde.wire.lines import LINE, parse_lines

CHUNK = 1 << 24  # octets read at once
FEW = 50_000  # entries
SHOWN = 5  # bad lines that a message shows
SPELLED = re.compile(
    r"[0-9A-Fa-f.:]+(/(0|[1-9][0-9]*))?"
)  # of what the standard library takes, what lists may have


class BadListError(ValueError):
    """A list that cannot be used; who reads it for a plan says so as a PlanError."""


MAPPED_BLOCK = Ranges.of_networks([MAPPED])


def read_list(entries: Sequence[str], place: str) -> NDArray[np.void]:
    """The LINE rows of a list in the plan; BadListError with the right spelling for the first bad one.

    Without the compiled `parse_lines` where it lists few: that takes longer to load than they take to read.
    """
    if len(entries) > FEW:
        text = "\n".join(entries)
        rows = parse_lines(text.encode())
        fine = (rows["status"] == LineStatus.FINE) & ~_is_bad(rows)
        plain = len(rows) == len(entries) and "#" not in text  # files have comments, a plan's lists do not
        if plain and fine.all():
            return rows
    rows = np.zeros(len(entries), LINE)
    for number, entry in enumerate(entries):
        text = entry.strip()
        try:
            network = ip_network(text)
        except ValueError:
            network = None
        if network is None or not SPELLED.fullmatch(text) or _is_mapped(network):
            raise BadListError(f"{place}: {complaint(entry)}")
        bits = network.prefixlen + (96 if network.version == 4 else 0)
        pair = address_pair(network.network_address)
        rows[number] = (LineStatus.FINE, network.version, bits, *pair)
    return rows


def read_list_file(path: Path, place: str) -> Iterator[NDArray[np.void]]:
    """The LINE rows of a file, by pieces of about a million, blank lines left out.

    It ends with BadListError where lines were bad, which counts them and shows the first.
    """
    shown: list[str] = []
    bad_lines, before = 0, 0
    try:
        for piece in _pieces(path, place):
            rows = parse_lines(piece)
            bad = np.flatnonzero(_is_bad(rows))
            bad_lines += bad.size
            if bad.size and len(shown) < SHOWN:
                lines = piece.split(b"\n")
                worst = [(before + int(k) + 1, _uncommented(lines[k])) for k in bad[: SHOWN - len(shown)]]
                shown += [f"line {number}: {complaint(entry)}" for number, entry in worst]
            if not bad_lines:
                yield rows[rows["status"] == LineStatus.FINE]
            before += piece.count(b"\n")
    except OSError as error:
        raise BadListError(f"{place}: {path} cannot be read: {error.strerror}") from error
    if bad_lines:
        count = f"{bad_lines} lines are" if bad_lines > 1 else "one line is"
        raise BadListError(f"{place}: in {path} {count} not usable; {'; '.join(shown)}")


def ranges_of(rows: NDArray[np.void]) -> Ranges:
    """LINE rows as ranges. What is written as IPv6 never reaches into mapped IPv4: `::/0` is all of IPv6."""
    ranges = Ranges.of_prefixes(rows["net"], rows["host"], rows["bits"])
    wide = (rows["version"] == 6) & (rows["bits"] < 96) & (rows["net"] == 0)
    if not wide.any():
        return ranges
    return Ranges.joined([ranges[~wide], ranges[wide].without(MAPPED_BLOCK)])


def complaint(entry: str) -> str:
    """What is wrong with an entry that is neither an address nor a prefix, and its right spelling."""
    shown = entry if len(entry) <= 60 else f"{entry[:57]}..."
    try:
        network = ip_network(entry.strip(), strict=False)
    except ValueError:
        network = None
    if network is None or "%" in entry:
        return f"{shown!r} is neither an address nor a prefix, such as 198.51.100.7, 198.51.100.0/24, 2001:db8::/48"
    if _is_mapped(network):
        return f"{shown!r} is an IPv4 address written as IPv6: write {network.network_address.ipv4_mapped}"
    single = entry.strip().split("/")[0]
    return f"{shown!r} has bits set behind the prefix: write {network}, or {single} for the one address"


def _is_mapped(network: IPv4Network | IPv6Network) -> TypeGuard[IPv6Network]:
    return network.version == 6 and network.network_address.ipv4_mapped is not None


def _is_bad(rows: NDArray[np.void]) -> NDArray[np.bool_]:
    mapped = (
        (rows["version"] == 6) & (rows["net"] == 0) & (rows["host"] >> 32 == 0xFFFF) & (rows["bits"] >= 96)
    )
    broken = (rows["status"] == LineStatus.GARBAGE) | (rows["status"] == LineStatus.HOST_BITS)
    bad: NDArray[np.bool_] = broken | mapped & (rows["status"] == LineStatus.FINE)
    return bad


def _pieces(path: Path, place: str) -> Iterator[bytes]:
    """Whole lines, about CHUNK octets at a time."""
    rest = b""
    with path.open("rb") as file:
        try:
            rest = without_mark(file.read(LOOKED_AT))
        except NotUtf8Error as error:
            raise BadListError(f"{place}: {path} {error}") from None
        while data := file.read(CHUNK):
            cut = data.rfind(b"\n") + 1
            if cut == 0 and len(rest) + len(data) > CHUNK:
                raise BadListError(
                    f"{place}: {path} has a line of more than {CHUNK} octets: it is no list of addresses"
                )
            if cut:
                yield rest + data[:cut]
                rest = data[cut:]
            else:
                rest += data
    if rest:
        yield rest


def _uncommented(line: bytes) -> str:
    return line.split(b"#")[0].decode("utf-8", "replace").strip()
