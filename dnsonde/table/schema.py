"""The dictionary of columns: every table, every column, its type, unit and meaning.

Arrow schemas, reference docs and the contract tests all come from here. Times are `int64` microseconds since
1970-01-01 UTC (so that windows are plain arithmetic on every engine), addresses are `<role>_net`, `<role>_host`
pairs (see `wire.batch`). A column that may be null says so by `null`.
"""

from dataclasses import dataclass
from functools import cache

import pyarrow as pa

VERSION = 1

I64 = pa.int64()
I32 = pa.int32()
I16 = pa.int16()
BOOL = pa.bool_()
TEXT = pa.string()
REAL = pa.float64()


@dataclass(frozen=True, slots=True)
class Column:
    """One column: `type` as Arrow has it, `meaning` as a reader wants it, `null` where it may be missing."""

    name: str
    type: pa.DataType
    meaning: str
    null: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """One table: what a row is, who makes it, and its columns in order."""

    name: str
    row: str
    made_by: str
    columns: tuple[Column, ...]

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema; its metadata carries the table's name and `VERSION`."""
        return _schema(self, VERSION)

    def __hash__(self) -> int:
        return hash(self.name)


@cache
def _schema(table: Table, version: int) -> pa.Schema:
    columns = [
        pa.field(c.name, c.type, nullable=c.null, metadata={"meaning": c.meaning}) for c in table.columns
    ]
    return pa.schema(columns, {"dnsonde.table": table.name, "dnsonde.version": str(version)})


def _address(role: str, meaning: str, *, null: bool = False) -> tuple[Column, Column]:
    return (
        Column(f"{role}_net", I64, f"{meaning}: network half (0 for IPv4)", null=null),
        Column(f"{role}_host", I64, f"{meaning}: host half (IPv4-mapped)", null=null),
    )


PROBE = Table(
    "probe",
    "one probe sent, or one that could not be sent",
    "prober",
    (
        *_address("target", "address that was asked (the ingress)"),
        Column("kind", TEXT, "what was asked: sweep, nxdomain, size or chain"),
        Column("attempt", I16, "1 for the first"),
        Column("time_us", I64, "when it was sent"),
        Column("qname", TEXT, "name that was asked"),
        Column("tag", I64, "keyed tag in the name: a sighting without it is not of this probe", null=True),
        Column("qtype", I32, "type that was asked"),
        Column("query_bytes", I32, "DNS octets of the query"),
        Column("errno", I32, "0, or the system's reason why it could not be sent"),
    ),
)

REPLY = Table(
    "reply",
    "one datagram or ICMP error that came back",
    "prober",
    (
        Column("time_us", I64, "when the kernel received it"),
        Column("outcome", TEXT, "answered, icmp, mismatched, forged, malformed"),
        *_address("target", "address of the probe it belongs to, from its name", null=True),
        *_address("responder", "address that it came from (for ICMP: the asked one that it is about)"),
        Column("responder_port", I32, "UDP port that it came from"),
        Column("kind", TEXT, "kind of the probe it belongs to", null=True),
        Column("attempt", I16, "attempt that it belongs to", null=True),
        Column("rcode", I32, "response code, extended by EDNS", null=True),
        Column("flags", I32, "the header's second 16 bits", null=True),
        Column("question_intact", BOOL, "the question came back octet for octet", null=True),
        Column("answers", I32, "A and AAAA records at the asked name", null=True),
        Column("control", BOOL, "our control address (or the known answer) is among them", null=True),
        Column("egress_count", I32, "addresses among them that are not the control", null=True),
        *_address("answer1", "first of them that is not the control", null=True),
        *_address("answer2", "second of them that is not the control", null=True),
        Column("records", I32, "records of any kind in the answer section", null=True),
        Column("authority_ns", I32, "NS records at or above the name in the authority section", null=True),
        Column("ttl_min", I64, "least TTL of the answer section, seconds", null=True),
        Column("edns_size", I32, "UDP payload size that it offered", null=True),
        Column("ede", I32, "extended DNS error code", null=True),
        Column("response_bytes", I32, "DNS octets of the response"),
        Column("ip_ttl", I16, "IP TTL or hop limit on arrival", null=True),
        Column("icmp_type", I16, "ICMP type", null=True),
        Column("icmp_code", I16, "ICMP code", null=True),
        *_address("offender", "router or host that sent the ICMP error", null=True),
    ),
)

SIGHTING = Table(
    "sighting",
    "one query at our authority, those it would not answer included",
    "authority",
    (
        Column("time_us", I64, "when it arrived"),
        *_address("egress", "address that asked us"),
        Column("egress_port", I32, "its source port"),
        Column("transport", TEXT, "udp or tcp"),
        Column(
            "outcome",
            TEXT,
            "answered, truncated, slipped, limited, dropped (a response, garbage, a loop's port)",
        ),
        Column("status", I16, "0, or why it is malformed (wire.codes.Status)"),
        Column("id", I32, "DNS message id; 0 where there is none"),
        Column("opcode", I16, "opcode"),
        Column("run", TEXT, "run label in the name", null=True),
        Column("kind", TEXT, "kind in the name: sweep, nxdomain, size, chain", null=True),
        Column("step", I32, "octets asked for (size) or steps left (chain)", null=True),
        *_address("target", "address in the name", null=True),
        Column("attempt", I16, "attempt in the name", null=True),
        Column("tag", I64, "keyed tag in the name, for the join to verify", null=True),
        Column("qname", TEXT, "name asked, as spelled, RFC 1035 presentation form"),
        Column("qtype", I32, "type asked"),
        Column("qclass", I32, "class asked"),
        Column("mixed_case", BOOL, "the name came in mixed case (0x20)"),
        Column("rd", BOOL, "recursion was desired of us"),
        Column("edns_size", I32, "UDP payload size offered", null=True),
        Column("edns_do", BOOL, "DNSSEC OK was set", null=True),
        *_address("ecs", "client subnet it disclosed", null=True),
        Column("ecs_source", I16, "its prefix length", null=True),
        Column("cookie", BOOL, "it sent a DNS cookie"),
        Column("verified", BOOL, "it proved its address: TCP, or a server cookie of ours"),
        Column("ip_ttl", I16, "IP TTL or hop limit on arrival", null=True),
        Column("query_bytes", I32, "DNS octets of the query"),
        Column("rcode", I32, "what we answered; null where we dropped it", null=True),
        Column("response_bytes", I32, "DNS octets of our answer; 0 where we dropped it"),
    ),
)

VERDICT = Table(
    "verdict",
    "one target",
    "the join of probe, reply and sighting",
    (
        *_address("target", "address that was asked (the ingress)"),
        Column("class", TEXT, "what kind of DNS host it is"),
        Column("subclass", TEXT, "the variety, where there are several", null=True),
        Column("confidence", REAL, "0 to 1"),
        Column("open", BOOL, "it resolves for strangers, by whatever way"),
        *_address("egress", "first address from which our authority was asked for it", null=True),
        Column("egress_count", I32, "how many such addresses"),
        *_address("responder", "address that answered first", null=True),
        Column("rcode", I32, "response code of that answer", null=True),
        Column("ra", BOOL, "recursion-available flag of that answer", null=True),
        *_address("answer", "wrong or first address it gave", null=True),
        Column("attempts", I32, "probes sent to it"),
        Column("replies", I32, "replies attributed to it"),
        Column("sightings", I32, "queries of it that our authority saw within an hour"),
        Column("query_bytes", I32, "DNS octets of the sweep query"),
        Column("response_bytes", I32, "DNS octets of its largest response", null=True),
        Column("amplification", REAL, "largest response over its own query, DNS octets", null=True),
        Column("rtt_us", I64, "probe to first reply", null=True),
        Column("first_seen_us", I64, "first reply or sighting", null=True),
        Column("why", TEXT, "one sentence: what was seen that makes it so"),
    ),
)

MESSAGE = Table(
    "message",
    "one DNS message on the wire",
    "readers",
    (
        Column("time_us", I64, "capture time"),
        Column("file", TEXT, "source file's content hash, the key into `account`"),
        Column("packet", I64, "number of its (last) packet in that file, from 1"),
        Column("transport", TEXT, "udp, tcp, mdns or unknown"),
        *_address("src", "sender"),
        *_address("dst", "receiver"),
        Column("src_port", I32, "sender's port"),
        Column("dst_port", I32, "receiver's port"),
        Column("src_mac", I64, "sender's link-layer address, 48 bits", null=True),
        Column("ip_ttl", I16, "IP TTL or hop limit", null=True),
        Column("ip_id", I32, "IPv4 identification", null=True),
        Column("ip_bytes", I32, "octets of the IP packet(s)", null=True),
        Column("dns_bytes", I32, "octets of the DNS message", null=True),
        Column("status", I16, "0, or why it is malformed (wire.codes.Status)"),
        Column("id", I32, "DNS message id", null=True),
        Column("response", BOOL, "QR"),
        Column("opcode", I16, "opcode"),
        Column("rcode", I32, "response code, extended by EDNS; null in queries", null=True),
        Column("aa", BOOL, "authoritative answer"),
        Column("tc", BOOL, "truncated"),
        Column("rd", BOOL, "recursion desired"),
        Column("ra", BOOL, "recursion available"),
        Column("ad", BOOL, "authentic data"),
        Column("cd", BOOL, "checking disabled"),
        Column("qdcount", I32, "questions"),
        Column("ancount", I32, "answer records"),
        Column("nscount", I32, "authority records"),
        Column("arcount", I32, "additional records"),
        Column("qname", TEXT, "name asked, lower case, RFC 1035 presentation form, no last dot"),
        Column("mixed_case", BOOL, "the name came in mixed case (0x20)"),
        Column("qtype", I32, "type asked", null=True),
        Column("qclass", I32, "class asked", null=True),
        Column("edns_size", I32, "UDP payload size offered", null=True),
        Column("edns_do", BOOL, "DNSSEC OK", null=True),
        Column("ecs_net", I64, "client subnet: network half", null=True),
        Column("ecs_host", I64, "client subnet: host half", null=True),
        Column("ecs_source", I16, "client subnet: prefix length", null=True),
        Column("cookie", BOOL, "a DNS cookie was there"),
        Column("nsid", TEXT, "name server identifier, escaped", null=True),
        Column("ede", I32, "extended DNS error code", null=True),
        Column("answers", I32, "A and AAAA records at the asked name, CNAMEs followed"),
        *_address("answer", "first of them", null=True),
        Column("answer_hash", I64, "order-free hash of the answer section's data; 0: none"),
        Column("ttl_min", I64, "least TTL of the answer section, seconds", null=True),
        # what the qname embeds (wire.embedded)
        Column("embedded_kind", TEXT, "how an address is written in the name: hex8, dashed, ...", null=True),
        *_address("embedded", "that address", null=True),
        Column("embedded_relation", TEXT, "source, destination, neighbour or other", null=True),
        Column("embedded_time_us", I64, "time written in the name", null=True),
        Column("embedded_time_kind", TEXT, "how: epoch_s, epoch_hex, date, ...", null=True),
        Column("template", TEXT, "the name with what it embeds replaced by what it is", null=True),
        # what the name is made of
        Column("registered_domain", TEXT, "public suffix and one label, lower case", null=True),
        Column("sub_hash", I64, "hash of the labels left of the registered domain; 0: none"),
        Column("sub_bytes", I32, "octets left of the registered domain"),
        Column("labels", I16, "labels of the whole name"),
        Column("label_max", I16, "octets of the longest label"),
        Column("digits", I16, "decimal digits in the name"),
        Column("entropy", REAL, "Shannon entropy of the labels left of the registered domain, bits an octet"),
    ),
)

FLOW = Table(
    "flow",
    "one 5-tuple, one direction, one window",
    "readers",
    (
        Column("start_us", I64, "first packet"),
        Column("end_us", I64, "last packet"),
        Column("file", TEXT, "source file's content hash, the key into `account`"),
        *_address("src", "sender"),
        *_address("dst", "receiver"),
        Column(
            "protocol", I16, "IP protocol number; GRE is counted as such, other tunnels as what they carry"
        ),
        Column("src_port", I32, "sender's port; ICMP: type"),
        Column("dst_port", I32, "receiver's port; ICMP: code"),
        Column("src_mac", I64, "sender's link-layer address, 48 bits", null=True),
        Column("packets", I64, "packets"),
        Column("bytes", I64, "IP octets"),
        Column("payload_bytes", I64, "transport payload octets"),
        Column("syn", I64, "TCP packets with SYN and no ACK"),
        Column("synack", I64, "TCP packets with SYN and ACK"),
        Column("ack", I64, "TCP packets with ACK and no SYN"),
        Column("fin", I64, "TCP packets with FIN"),
        Column("rst", I64, "TCP packets with RST"),
        Column("push", I64, "TCP packets with PSH"),
        Column("mirai_syn", I64, "SYNs whose sequence number is the destination address"),
        Column("length_min", I32, "shortest IP packet"),
        Column("length_max", I32, "longest IP packet"),
        Column("length_mean", REAL, "mean IP packet length"),
        Column("ttl_min", I16, "least IP TTL or hop limit", null=True),
        Column("ttl_max", I16, "greatest IP TTL or hop limit", null=True),
        Column("window", I32, "TCP window of the first packet", null=True),
        Column("ip_id", I32, "IPv4 identification of the first packet", null=True),
        Column("options", I64, "hash of the first SYN's TCP options; 0: none"),
        Column("payload", pa.binary(), "first payload's first 32 octets"),
        Column("fragments", I64, "packets that are fragments"),
        Column("inner_protocol", I16, "GRE: IP protocol inside", null=True),
        Column("inner_id", I32, "GRE: IP id inside of the first packet (Mirai: ~(outer - 1000))", null=True),
    ),
)

FINDING = Table(
    "finding",
    "one detection",
    "detectors",
    (
        Column("detector", TEXT, "name of the detector"),
        Column("threat", TEXT, "what it is, in the field's word"),
        Column("subject", TEXT, "whom or what it is about, canonical text"),
        Column("subject_kind", TEXT, "address, prefix or domain"),
        Column("severity", TEXT, "info, low, medium, high or critical"),
        Column("confidence", REAL, "0 to 1"),
        Column("first_seen", I64, "first event, microseconds since 1970 UTC"),
        Column("last_seen", I64, "last event, microseconds since 1970 UTC"),
        Column("count", I64, "events"),
        Column("title", TEXT, "one line"),
        Column("summary", TEXT, "one or two sentences, what to do included"),
        Column("evidence", TEXT, "a JSON object"),
        Column("references", TEXT, "a JSON array of sources"),
    ),
)

ACCOUNT = Table(
    "account",
    "one source file",
    "readers",
    (
        Column("file", TEXT, "content hash"),
        Column("path", TEXT, "where it was read"),
        Column("format", TEXT, "format it was read as"),
        Column("bytes", I64, "octets on disk"),
        Column("packets", I64, "packets or records in it = parsed + ignored + malformed"),
        Column("parsed", I64, "of them parsed"),
        Column("ignored", I64, "of them not ours to parse"),
        Column("malformed", I64, "of them damaged"),
        Column("messages", I64, "DNS messages that came of them"),
        Column("first_us", I64, "earliest time", null=True),
        Column("last_us", I64, "latest time", null=True),
        Column("reasons", TEXT, "JSON object: reason -> count, for ignored and malformed"),
        Column("note", TEXT, "what a person should know: cut short, damaged at ...", null=True),
    ),
)

ENRICHMENT = Table(
    "enrichment",
    "one address, and whose it is",
    "`dnsonde enrich`",
    (
        *_address("address", "the address"),
        Column("asn", I64, "autonomous system that announces it", null=True),
        Column("as_name", TEXT, "that system's name", null=True),
        Column("prefix", TEXT, "prefix that it is announced or registered in", null=True),
        Column("country", TEXT, "country, ISO 3166-1, two letters", null=True),
        Column("abuse", TEXT, "mail address for complaints", null=True),
    ),
)

TABLES = {t.name: t for t in (PROBE, REPLY, SIGHTING, VERDICT, MESSAGE, FLOW, FINDING, ACCOUNT, ENRICHMENT)}
