"""What readers of text logs share: blocks of whole lines, columns of text to numbers, and rows of the two tables."""

import codecs
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv
import pyarrow.json as pj
from numpy.typing import NDArray

from dnsonde.clock import LAST_US
from dnsonde.formats._columns import record_batch, words
from dnsonde.formats._contract import Account, Options
from dnsonde.formats._messages import TRANSPORTS
from dnsonde.formats._names import name_columns
from dnsonde.formats._stream import Stream
from dnsonde.table.schema import FLOW, MESSAGE
from dnsonde.wire.codes import LineStatus
from dnsonde.wire.lines import parse_lines

BLOCK = 1 << 24  # octets of text in memory at a time
LONGEST_LINE = 1 << 20
LONGEST_PACKET = (1 << 31) - 1
MOST_PACKETS, MOST_OCTETS = 1 << 39, 1 << 47  # of a flow that is believed: an hour of a link of 400 Gbit/s

NUMBER = r"^-?[0-9]+(\.[0-9]*)?([eE][-+]?[0-9]+)?$"
DATE = r"^(\d{4})[-/](\d\d)[-/](\d\d)[T +]?(\d\d:\d\d:\d\d)(\.\d{1,6})?\d*(Z|[+-]\d\d:?\d\d)?$"
ODD = r'[^!-~]|["$();@\\]'  # what needs an escape in presentation form (RFC 1035, 5.1)

# As IANA, nfdump, Suricata, Argus and /etc/protocols call them; Argus names what it takes UDP to carry.
PROTOCOLS = {
    "hopopt": 0, "icmp": 1, "igmp": 2, "ggp": 3, "ipip": 4, "ip-in-ip": 4, "ipv4": 4, "ipencap": 4, "st": 5, "tcp": 6,
    "egp": 8, "igp": 9, "udp": 17, "rtp": 17, "rtcp": 17, "udt": 17, "rdp": 27, "dccp": 33, "ipv6": 41,
    "ipv6-route": 43, "rte6": 43, "ipv6-frag": 44, "frag6": 44, "rsvp": 46, "gre": 47, "esp": 50, "ah": 51, "swipe": 53,
    "mobile": 55, "mobil": 55, "icmp6": 58, "icmpv6": 58, "ipv6-icmp": 58, "ipv6-nonxt": 59, "nohe6": 59,
    "ipv6-opts": 60, "opts6": 60, "eigrp": 88, "ospf": 89, "ospfigp": 89, "ax.25": 93, "etherip": 97, "ethip": 97,
    "encap": 98, "pim": 103, "ipcomp": 108, "ipcmp": 108, "vrrp": 112, "carp": 112, "pgm": 113, "l2tp": 115,
    "isis": 124, "isis4": 124, "sctp": 132, "fc": 133, "udplite": 136, "mpls-in-ip": 137,
}  # fmt: skip
UDP_HEADERS = (28, 48)  # octets of IPv4's and UDP's, of IPv6's and UDP's
ETHERNET, IPV4_LEAST = 14, 20  # octets of headers

Pair = tuple[NDArray[Any], NDArray[np.bool_]]


class Ends(NamedTuple):
    """A column of addresses: both halves, and whether the text was one."""

    net: NDArray[np.int64]
    host: NDArray[np.int64]
    valid: NDArray[np.bool_]

    def where(self, mask: NDArray[np.bool_]) -> "Ends":
        """Those of the mask."""
        return Ends(self.net[mask], self.host[mask], self.valid[mask])


def blocks(stream: Stream, account: Account) -> Iterator[bytes]:
    """The file in blocks of whole lines. A last line without its end is given too."""
    rest = b""
    while piece := stream.read(BLOCK):
        whole, newline, tail = (rest + piece).rpartition(b"\n")
        if newline:
            yield whole + newline
        if len(tail) > LONGEST_LINE:
            account.malformed["endless_line"] += 1
            account.note("a line longer than 1 MiB; nothing after it was read")
            return
        rest = tail
    if rest:
        yield rest + b"\n"


def json_blocks(stream: Stream, account: Account) -> Iterator[bytes]:
    """The objects of a JSON log, one a line, in blocks: as it is, or of an array or of objects laid out over lines."""
    if laid_out(stream.head):
        yield from _relaid(stream, account)
    else:
        yield from blocks(stream, account)


def laid_out(head: bytes) -> bool:
    """Whether a JSON text has other than an object a line."""
    head = head.lstrip()
    return head.startswith(b"[") or head.split(b"\n", 1)[0].rstrip() == b"{"


def _relaid(stream: Stream, account: Account) -> Iterator[bytes]:
    rest = b""
    while piece := stream.read(BLOCK):
        text = rest + piece.translate(SPACES)
        begins, ends = _objects(np.frombuffer(text, np.uint8))
        if len(ends):
            yield b"\n".join(text[begin:end] for begin, end in zip(begins, ends, strict=False)) + b"\n"
            text = text[ends[-1] :]
        rest = text.lstrip(b" ,]")
        if len(rest) > LONGEST_LINE:
            account.malformed["endless_line"] += 1
            account.note("an object longer than 1 MiB; nothing after it was read")
            return
    if rest.strip(b" ,[]"):
        account.malformed["damaged_line"] += 1
        account.note("cut short: an incomplete record at the end")


SPACES = bytes.maketrans(b"\r\n\t", b"   ")  # which JSON has between things only


def _objects(octets: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(where each whole object begins, where it ends) of a JSON text; one more may begin that is not whole."""
    quote = octets == ord('"')
    slashes = np.flatnonzero(octets == ord("\\"))
    if len(slashes):  # an odd number of them before a quote makes it a letter
        run = np.flatnonzero(np.diff(slashes, prepend=-2) != 1)
        length = np.diff(run, append=len(slashes))
        after = slashes[run] + length
        quote[after[(length % 2 == 1) & (after < len(octets))]] = False
    outside = ~np.logical_xor.accumulate(quote)
    at = np.flatnonzero(outside & ((octets == ord("{")) | (octets == ord("}"))))
    opens = octets[at] == ord("{")
    depth = np.cumsum(np.where(opens, 1, -1))
    return at[opens & (depth == 1)], at[~opens & (depth == 0)] + 1


def object_at(text: bytes) -> dict[str, Any]:
    """The JSON object that some octets begin with; empty where there is none."""
    with suppress(ValueError, RecursionError):
        found, _ = json.JSONDecoder().raw_decode(text.decode("utf-8", "replace"))
        if isinstance(found, dict):
            return found
    return {}


def objects(head: bytes) -> Iterator[dict[str, Any]]:
    """The JSON objects that a log begins with, as far as its first octets show them."""
    if laid_out(head):
        text = head.translate(SPACES)
        for begin, end in zip(*_objects(np.frombuffer(text, np.uint8)), strict=False):
            yield object_at(text[begin:end])
    else:
        yield from filter(None, map(object_at, head.split(b"\n")))


def separated(
    block: bytes,
    names: Sequence[str],
    separator: str,
    on_odd: Callable[[str], None],
    *,
    quoted: bool = False,
    nulls: Sequence[str] = (),
) -> dict[str, pa.Array]:
    """Columns of text by name, of two with one name the last; without those lines that have not one of each.

    on_odd: hears each such line; nulls: what stands for nothing. ArrowInvalid where nothing in the block is a row.
    """

    def skip(row: Any) -> str:
        on_odd(row.text)
        return "skip"

    table = pcsv.read_csv(
        pa.BufferReader(_utf8(block, "backslashreplace")),
        read_options=pcsv.ReadOptions(
            column_names=[str(number) for number in range(len(names))],
            block_size=len(block) * 4 + 1,
            use_threads=False,
        ),
        parse_options=pcsv.ParseOptions(
            delimiter=separator, quote_char='"' if quoted else False, invalid_row_handler=skip
        ),
        convert_options=pcsv.ConvertOptions(
            column_types={str(number): pa.string() for number in range(len(names))},
            null_values=list(nulls),
            strings_can_be_null=bool(nulls),
            check_utf8=False,  # it is
        ),
    )
    return {name: one(column) for name, column in zip(names, table.columns, strict=True)}


def _utf8(block: bytes, errors: str) -> bytes:
    r"""The block, with each octet that is no UTF-8 as Zeek writes it, `\xNN`: Arrow stumbles over it, late."""
    try:
        block.decode()
    except UnicodeDecodeError:
        return block.decode(errors=errors).encode()
    return block


def _in_json(error: UnicodeError) -> tuple[str, int]:
    r"""`\xNN`, as a text of JSON has it."""
    assert isinstance(error, UnicodeDecodeError)
    return "".join(f"\\\\x{octet:02x}" for octet in error.object[error.start : error.end]), error.end


codecs.register_error("dnsonde.json", _in_json)


def json_rows(block: bytes, schema: pa.Schema, account: Account) -> pa.Table:
    """The objects of a block, one a line; lines that are none are counted and left out."""
    block = _utf8(block, "dnsonde.json")
    options = pj.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
    read = partial(
        pj.read_json, read_options=pj.ReadOptions(block_size=len(block) + 1), parse_options=options
    )
    if not block.strip():
        return schema.empty_table()
    try:
        return read(pa.BufferReader(block))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        pass
    lines = block.splitlines()  # something in it is damaged: only then line by line
    decode = msgspec.json.Decoder(dict[str, Any]).decode
    good = [line for line in lines if line.strip() and _fits(decode, read, line)]
    account.malformed["damaged_line"] += sum(bool(line.strip()) for line in lines) - len(good)
    return read(pa.BufferReader(b"\n".join(good) + b"\n")) if good else schema.empty_table()


def _fits(decode: Callable[[bytes], Any], read: Callable[[Any], pa.Table], line: bytes) -> bool:
    try:
        decode(line)
        read(pa.BufferReader(line + b"\n"))
    except (RecursionError, msgspec.DecodeError, pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return False
    return True


def one(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """A column in one piece."""
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def numbers(column: pa.Array) -> Pair:
    """float64 values and where there are any; text that is no number is none."""
    if pa.types.is_string(column.type):
        column = pc.if_else(pc.match_substring_regex(column, NUMBER), column, None)
    column = column.cast(pa.float64())
    valid = _valid(column)
    values = column.fill_null(0).to_numpy(zero_copy_only=False)
    valid &= np.isfinite(values) & (np.abs(values) < 2.0**62)
    return np.where(valid, values, 0), valid


def integers(column: pa.Array, most: int) -> Pair:
    """Whole numbers from 0 to `most`, and where there are any."""
    values, valid = numbers(column)
    valid &= (values >= 0) & (values <= most)
    return np.where(valid, values, 0).astype(np.int64), valid


def booleans(column: pa.Array) -> NDArray[np.bool_]:
    """True where it says so: true, T or 1."""
    if not pa.types.is_boolean(column.type):
        column = pc.is_in(column.cast(pa.string()), pa.array(["T", "true", "True", "1"]))
    found: NDArray[np.bool_] = column.fill_null(False).to_numpy(zero_copy_only=False)
    return found


def dated(column: pa.Array) -> bool:
    """Whether some of a column's times are dates."""
    return bool(pa.types.is_string(column.type) and pc.any(pc.match_substring(column, ":")).as_py())


def microseconds(column: pa.Array) -> Pair:
    """Times in seconds since 1970, or as a date and a time (UTC where it does not say); what no calendar has is none.

    A date is as in ISO 8601, or has strokes; what stands between it and the time tools disagree about.
    """
    if dated(column):
        text = pc.replace_substring_regex(column, DATE, r"\1-\2-\3T\4|\5|\6")
        parts = pc.split_pattern(text, "|")
        fits = pc.equal(pc.list_value_length(parts), 3).fill_null(False)
        parts = pc.if_else(fits, parts, pa.scalar(["1970-01-01T00:00:00", "", ""]))
        whole = pc.list_element(parts, 0)
        dates = pc.strptime(whole, "%Y-%m-%dT%H:%M:%S", "us", error_is_null=True)
        fraction, _ = numbers(pc.binary_join_element_wise("0", pc.list_element(parts, 1), ""))
        zone = pc.list_element(parts, 2)
        hours, _ = numbers(pc.utf8_slice_codeunits(zone, 1, 3))
        minutes, _ = numbers(pc.utf8_slice_codeunits(pc.replace_substring(zone, ":", ""), 3, 5))
        sign = np.where(pc.starts_with(zone, "-").to_numpy(zero_copy_only=False), -1, 1)
        values = dates.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
        ahead = sign * (hours * 3600 + minutes * 60).astype(np.int64) * 1_000_000
        values = values + np.rint(fraction * 1e6).astype(np.int64) - ahead
        valid = fits.to_numpy(zero_copy_only=False) & _valid(dates) & (values >= 0) & (values <= LAST_US)
        return np.where(valid, values, 0), valid
    return scaled(column, 1e6)


def scaled(column: pa.Array, scale: float) -> Pair:
    """Times in microseconds of numbers, so many in each; what no calendar has is none."""
    values, valid = numbers(column)
    values = np.rint(values * scale)
    valid &= (values >= 0) & (values <= LAST_US)
    return np.where(valid, values, 0).astype(np.int64), valid


def span(column: pa.Array) -> NDArray[np.int64]:
    """Microseconds of spans in seconds, at most a century; 0 where there is none, or less."""
    seconds, _ = numbers(column)
    return np.rint(np.clip(seconds, 0, 2.0**32) * 1e6).astype(np.int64)


def addresses(column: pa.Array) -> Ends:
    """A column of address texts as integers, at kernel speed."""
    text = pc.replace_substring_regex(column.cast(pa.string()).fill_null(""), r"[\r\n#/]", "?")
    lines = pc.binary_join_element_wise(text, "", "\n")
    if not len(lines):
        return Ends(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, bool))
    row = parse_lines(_octets(lines))[: len(column)]
    valid = row["status"] == LineStatus.FINE
    return Ends(np.where(valid, row["net"], 0), np.where(valid, row["host"], 0), valid)


def _octets(text: pa.StringArray) -> bytes:
    _, ends, data = text.buffers()
    bounds = np.frombuffer(ends, np.int32)[text.offset : text.offset + len(text) + 1]
    return memoryview(data)[int(bounds[0]) : int(bounds[-1])].tobytes()


def names(column: pa.Array) -> tuple[pa.StringArray, NDArray[np.bool_]]:
    r"""(lower-case presentation form without the last dot, whether it came in mixed case) of names as logs show them.

    Octets that Zeek and Suricata write as `\xNN` become `\DDD`.
    """
    text = column.cast(pa.string()).fill_null("")
    lower = pc.ascii_lower(text)
    mixed = pc.and_(pc.not_equal(lower, text), pc.not_equal(pc.ascii_upper(text), text))
    odd = pc.match_substring_regex(lower, ODD)
    if pc.any(odd).as_py():
        encoded = lower.dictionary_encode()
        shown = pa.array([_presentation(t) for t in encoded.dictionary.to_pylist()], pa.string())
        lower = shown.take(encoded.indices)
    lower = pc.replace_substring_regex(lower, r"^(.+)\.$", r"\1")
    return lower, mixed.to_numpy(zero_copy_only=False)


def _presentation(text: str) -> str:
    octets = text.encode("utf-8", "surrogateescape").decode("latin-1")
    out, at = [], 0
    while at < len(octets):
        letter, at = octets[at], at + 1
        if letter == "\\" and octets[at : at + 1] == "x" and len(octets) >= at + 3:
            with suppress(ValueError):
                letter, at = chr(int(octets[at + 1 : at + 3], 16)), at + 3
        elif letter == "\\" and octets[at : at + 1] == "\\":
            at += 1
        if not "!" <= letter <= "~":
            letter = f"\\{ord(letter):03d}"
        elif letter in '"$();@\\':
            letter = f"\\{letter}"
        out.append(letter)
    return "".join(out)


def protocols(column: pa.Array, ends: Ends) -> NDArray[np.int64]:
    """IP protocol numbers of names or numbers; ICMP by the addresses' family; 255 where unknown."""
    text = pc.utf8_trim_whitespace(pc.ascii_lower(column.cast(pa.string()).fill_null("")))
    known = (
        pc.index_in(text, pa.array(list(PROTOCOLS))).fill_null(len(PROTOCOLS)).to_numpy(zero_copy_only=False)
    )
    found = np.array([*PROTOCOLS.values(), 255])[known]
    number, valid = integers(text, 255)
    found = np.where(valid, number, found)
    return np.where((found == 1) & ~_is_four(ends.net, ends.host), 58, found)


def of_frames(octets: NDArray[np.int64], packets: NDArray[np.int64]) -> NDArray[np.int64]:
    """IP octets of so many packets, where somebody counted their Ethernet headers as well."""
    found: NDArray[np.int64] = np.minimum(
        octets, np.maximum(octets - ETHERNET * packets, IPV4_LEAST * packets)
    )
    return found


def _is_four(net: NDArray[np.int64], host: NDArray[np.int64]) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = (net == 0) & (host >> 32 == 0xFFFF)
    return found


def message_rows(
    account: Account,
    options: Options,
    columns: Mapping[str, Any],
    *,
    transport: NDArray[np.int64],
    answers: pa.Array | None = None,
) -> pa.RecordBatch:
    """Rows of `message` from a log: `columns` as far as the log knows them, what it does not know left at none.

    transport: index into `TRANSPORTS`; answers: a list of texts for each row, of which addresses are taken.
    """
    count = len(columns["qname"])
    no = np.zeros(count, bool)
    zero = np.zeros(count, np.int64)
    ends = {
        f"{role}_{half}": columns[f"{role}_{half}"] for role in ("src", "dst") for half in ("net", "host")
    }
    account.messages += count
    filled: dict[str, Any] = {
        "file": account.file,
        "transport": words(transport, TRANSPORTS),
        "status": zero,
        "opcode": zero,
        **dict.fromkeys(("aa", "tc", "rd", "ra", "ad", "cd", "cookie"), no),
        **dict.fromkeys(("nscount", "arcount"), zero),
        "qdcount": 1,
        **_answers(answers, count),
        **columns,
    }
    filled |= name_columns(columns["qname"], ends, columns["time_us"])
    return record_batch(MESSAGE, count, filled, repeating=options.repeating)


def _answers(lists: pa.Array | None, count: int) -> dict[str, Any]:
    zero = np.zeros(count, np.int64)
    if lists is None:
        return {"ancount": zero, "answers": zero, "answer_hash": zero}
    length = pc.list_value_length(lists).fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    found = addresses(pc.list_flatten(lists))
    row = np.repeat(np.arange(count), length)[found.valid]
    net, host = found.net[found.valid], found.host[found.valid]
    with np.errstate(over="ignore"):
        mixed = (net * 31 + host) * np.int64(-7046029254386353131)  # 2^64 / golden ratio
        mixed ^= mixed >> 29
    digest = zero.copy()
    np.add.at(digest, row, mixed)
    first, at = np.unique(row, return_index=True)
    answer = np.zeros((2, count), np.int64)
    answer[0, first], answer[1, first] = net[at], host[at]
    has = np.zeros(count, bool)
    has[first] = True
    return {
        "ancount": length,
        "answers": np.bincount(row, minlength=count),
        "answer_hash": np.where(has & (digest == 0), 1, digest),
        "answer_net": (answer[0], has),
        "answer_host": (answer[1], has),
    }


def flow_rows(account: Account, columns: Mapping[str, Any], keep: NDArray[np.bool_]) -> pa.RecordBatch:
    """Rows of `flow` from a log, those of `keep`; counters that it does not know are 0, lengths are the mean.

    What UDP carries is known from its octets, where the log does not tell it.

    A counter that cannot be, as of a broken exporter, is cut and noted: sums of them, and products, must fit.

    `columns` has start_us, end_us, both ends, protocol, ports, packets and bytes at least.
    """
    taken = {name: value[keep] for name, value in columns.items()}
    count = int(keep.sum())
    zero = np.zeros(count, np.int64)
    for name, most in (("packets", MOST_PACKETS), ("bytes", MOST_OCTETS), ("end_us", LAST_US)):
        if count and taken[name].max() > most:
            account.note(f"{name} of some flows cannot be that many: they were cut to {most:,}")
            taken[name] = np.minimum(taken[name], most)
    header = np.where(_is_four(taken["src_net"], taken["src_host"]), *UDP_HEADERS)
    carried = np.where(taken["protocol"] == PROTOCOLS["udp"], taken["bytes"] - header * taken["packets"], 0)
    mean = taken["bytes"] / np.maximum(taken["packets"], 1)
    length = np.minimum(mean, LONGEST_PACKET).astype(np.int32)  # counters may be anything
    filled = {
        **dict.fromkeys(
            (
                "syn",
                "synack",
                "ack",
                "fin",
                "rst",
                "push",
                "mirai_syn",
                "options",
                "fragments",
            ),
            zero,
        ),
        "payload_bytes": np.maximum(carried, 0),
        **taken,
        "file": account.file,
        "length_min": length,
        "length_max": length,
        "length_mean": mean,
        "payload": b"",
    }
    return record_batch(FLOW, count, filled)


def _valid(column: pa.Array) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = column.is_valid().to_numpy(zero_copy_only=False)
    return found.copy()
