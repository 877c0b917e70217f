"""DDoS fingerprints, as the DDoS Clearing House shares them."""

import hashlib
import json
from collections.abc import Iterator
from typing import Annotated, Any, BinaryIO

from dnsonde.clock import moment
from dnsonde.export._attacks import FLAGS, TCP, Attack, Vector, attacks, require_lake
from dnsonde.export._documents import lines
from dnsonde.export._messages import rrtype
from dnsonde.table.rows import Relation, within
from dnsonde.view.view import View

MEGABYTE = 1_000_000
TOP = 10  # names and types that are told of
DNS_PORT = 53


def ddos_fingerprint(
    view: View,
    out: BinaryIO,
    *,
    anonymous: Annotated[bool, "leave the victim's address out, to share"] = False,
) -> None:
    """Write each attack of a lake as a DDoS fingerprint, one JSON object a line.

    The format is that of the DDoS Clearing House's dissector, for input of flows; DNS vectors also tell the names and
    types that were asked for.
    """
    require_lake(view, "ddos-fingerprint")
    lines(_fingerprints(view, anonymous=anonymous), out)


def _fingerprints(view: View, *, anonymous: bool) -> Iterator[dict[str, Any]]:
    for attack in attacks(view):
        if not attack.vectors:
            view.warn(f"{attack.incident.subject}: its traffic has no vector worth the name, it is left out")
            continue
        told = _fingerprint(attack, view)
        if anonymous:
            told["target"] = "Anonymous"
        digest = hashlib.md5(json.dumps(told, sort_keys=True).encode(), usedforsecurity=False)
        yield told | {"key": digest.hexdigest()}


def _fingerprint(attack: Attack, view: View) -> dict[str, Any]:
    vectors = [_vector(attack, vector, view) for vector in attack.vectors]
    return {
        "attack_vectors": vectors,
        "target": attack.incident.subject,
        "tags": _tags(attack),
        "time_start": moment(attack.first_us).isoformat(),
        "time_end": moment(attack.last_us).isoformat(),
        "duration_seconds": max(1, round(attack.seconds)),
        "total_flows": attack.flows,
        "total_megabytes": round(attack.octets / MEGABYTE),
        "total_packets": attack.packets,
        "total_ips": attack.sources,
        "avg_bps": round(8 * attack.octets / attack.seconds),
        "avg_pps": round(attack.packets / attack.seconds),
        "avg_Bpp": round(attack.octets / attack.packets),
    }


def _vector(attack: Attack, vector: Vector, view: View) -> dict[str, Any]:
    ports = {} if vector.is_pieces else vector.ports
    told = {
        "service": vector.service,
        "protocol": vector.protocol_name,
        "fraction_of_attack": round(vector.packets / attack.packets, 3),
        "source_port": vector.source_port if vector.source_port is not None else "random",
        "destination_ports": {str(port): share for port, share in ports.items()} or "random",
        "tcp_flags": vector.flags or None if vector.protocol == TCP else None,
        "nr_flows": vector.flows,
        "nr_packets": vector.packets,
        "nr_megabytes": round(vector.octets / MEGABYTE),
        "time_start": moment(vector.first_us).isoformat(),
        "duration_seconds": round((vector.last_us - vector.first_us) / 1e6),
        "source_ips": attack.source_addresses(vector),
    }
    return told | (_asked(attack, view) if vector.source_port == DNS_PORT else {})


def _asked(attack: Attack, view: View) -> dict[str, Any]:
    """What the reflected DNS responses answer."""
    mine = view.tables["message"].filter(
        f"{within('dst', str(attack.target))} AND response AND status = 0 "
        f"AND time_us BETWEEN {attack.first_us} AND {attack.last_us}"
    )
    names = _shares(mine, "qname")
    types = {rrtype(number): share for number, share in _shares(mine, "qtype").items() if number is not None}
    return {"dns_query_name": names or "random", "dns_query_type": types or "random"}


def _shares(message: Relation, column: str) -> dict[Any, float]:
    total = len(message)
    each = message.aggregate(f"{column}, count(*) AS n").order(f"n DESC, {column}").limit(TOP)
    return {one: round(n / total, 3) for one, n in each.fetchall() if n >= 0.1 * total}


def _tags(attack: Attack) -> list[str]:
    tags = set()
    if any(vector.source_port is not None for vector in attack.vectors):
        tags.add("Amplification attack")
    if len(attack.vectors) > 1:
        tags.add("Multi-vector attack")
    if attack.target.prefixlen < attack.target.max_prefixlen:
        tags.add("Carpet bombing attack")
    for vector in attack.vectors:
        if vector.protocol == TCP:
            names = {text: name.upper() for name, text in FLAGS.items()}
            tags |= {f"TCP {names[text]} flag attack" for text, share in vector.flags.items() if share > 0.5}
    return sorted(tags)
