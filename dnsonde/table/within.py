"""`within(src_net, src_host, '192.0.2.0/24')`: a function of SQL, whether an address lies in a prefix.

Addresses are pairs of numbers, which nobody can type. A prefix that stands in the query itself is read once, and parts
that cannot have such an address are not read at all.
"""

from ipaddress import ip_network

import duckdb
from duckdb import sqltype

from dnsonde.table.prefix import MAPPED, ends

HALVES = "STRUCT(net_first BIGINT, net_last BIGINT, host_first BIGINT, host_last BIGINT, mapped BOOLEAN)"
ENDS = ("first", "last")
IPV4 = ends(MAPPED)["host"]
MACRO = f"""
CREATE MACRO within(net, host, prefix) AS
    net BETWEEN ends_of(prefix).net_first AND ends_of(prefix).net_last
    AND host BETWEEN ends_of(prefix).host_first AND ends_of(prefix).host_last
    AND (ends_of(prefix).mapped OR NOT (net = 0 AND host BETWEEN {IPV4[0]} AND {IPV4[1]}))
"""


class NoPrefixError(ValueError):
    """A text that is neither an address nor a prefix."""


def ends_of(prefix: str) -> dict[str, int]:
    """The least and the greatest of each half that addresses of the prefix have; mapped: they are of IPv4.

    NoPrefixError where it is none.
    """
    try:
        network = ip_network(prefix.strip(), strict=False)
    except ValueError:
        raise NoPrefixError(f"{prefix[:60]!r} is neither an address nor a prefix") from None
    halves = ends(network)
    mapped = halves["net"] == (0, 0) and halves["host"][0] >= IPV4[0] and halves["host"][1] <= IPV4[1]
    told = {f"{name}_{end}": at for name, half in halves.items() for end, at in zip(ENDS, half, strict=True)}
    return {**told, "mapped": mapped}


def create_within(connection: duckdb.DuckDBPyConnection) -> None:
    """Let queries on that connection ask for it."""
    connection.create_function("ends_of", ends_of, [sqltype("VARCHAR")], sqltype(HALVES))
    connection.execute(MACRO)
