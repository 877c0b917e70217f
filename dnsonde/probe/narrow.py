"""A run that continues under a plan which excludes more: somebody complained, and is left out from now on.

The order of a run, and which shard an address belongs to, come from the scope that the run began with. That scope is
kept beside the state; what has been excluded since is not asked any more, and stays excluded.
"""

from collections.abc import Iterable
from ipaddress import IPv6Address, IPv6Network, ip_network, summarize_address_range
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from dnsonde.errors import RunError
from dnsonde.probe.order import Ranges, Scope
from dnsonde.probe.plan import Plan
from dnsonde.probe.state import Narrowing, State, load
from dnsonde.table.store import refusal
from dnsonde.whole import put

FILE = "scope.parquet"
COLUMNS = ("net", "host", "last_net", "last_host")
NAMED = 3  # prefixes that a sentence names
CHUNK = 65_536

OTHER_PLAN = (
    "{folder} holds a run of another plan ({what}): continue with the plan that began it, to which exclusions may be "
    "added, or choose another folder"
)


def keep(folder: Path, scope: Scope) -> None:
    """Write the scope that a run begins with, one row a range. SystemRefusal where the disk will not have it."""
    columns = {name: pa.array(getattr(scope.ranges, name).view(np.int64)) for name in COLUMNS}
    octets = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), octets, compression="zstd")
    try:
        put(Path(folder) / FILE, octets.getvalue().to_pybytes())
    except OSError as error:
        raise refusal(folder, error) from error


def kept(folder: Path) -> Scope | None:
    """The scope that the run began with; None where an older dnsonde kept none. RunError where it is damaged."""
    path = Path(folder) / FILE
    if not path.exists():
        return None
    try:
        table = pq.read_table(path, columns=list(COLUMNS))
        halves = [table[name].to_numpy().astype(np.int64).view(np.uint64) for name in COLUMNS]
    except (OSError, KeyError, ValueError, pa.ArrowException) as error:
        raise RunError(f"{path} cannot be read: restore it, or start again in another folder") from error
    return Scope(Ranges(*halves))


def settle(folder: Path, plan: Plan) -> bool:
    """Let a run's plan have the scope that the run keeps, less what has been excluded since; whether it is known.

    No other file that the plan names is read: they may be anywhere, and the run may come from anywhere.
    """
    began = kept(folder)
    if began is None:
        return plan.stands_alone
    state = load(folder)
    plan.settle(began if state is None else Scope(began.ranges.without(excluded(state))))
    return True


def agree(folder: Path, plan: Plan, state: State, now_us: int) -> tuple[Scope, Narrowing | None]:
    """The scope whose order the run goes by, and what the plan excludes that it did not exclude before.

    RunError where the plan is another one: anything else of what makes probes has changed, or somebody is named who
    was not, or is no longer excluded.
    """
    scope, wanted = plan.scope(), plan.scope().ranges
    if plan.digest == state.digest and not state.exclusions:
        return scope, None
    began = kept(folder)
    if began is None or plan.digest_with(began) != state.digest:
        what = "other targets, port, zone, attempts or shard"
        raise RunError(OTHER_PLAN.format(folder=folder, what=what))
    before = excluded(state)
    left = began.ranges.without(before)
    fresh = wanted.without(left)
    if fresh.count():
        back = fresh.without(fresh.without(before))
        why = "which it has excluded since it began" if back.count() else "which was not in it"
        what = f"it names {(_texts(back) or _texts(fresh))[0]}, {why}"
        raise RunError(OTHER_PLAN.format(folder=folder, what=what))
    gone = left.without(wanted)
    if not gone.count():
        return began, None
    return began, Narrowing(now_us, gone.count(), _texts(gone))


def excluded(state: State) -> Ranges:
    """All that has been excluded since the run began."""
    networks = [ip_network(text) for exclusion in state.exclusions for text in exclusion.prefixes]
    return Ranges.of_networks(networks).merged()


def positions(scope: Scope, ranges: Ranges) -> Iterable[NDArray[np.int64]]:
    """Where the addresses of some ranges stand in the scope, by pieces."""
    inside = scope.ranges.without(scope.ranges.without(ranges))
    addresses = np.zeros(len(inside), [("net", "i8"), ("host", "i8")])
    addresses["net"], addresses["host"] = inside.net.view(np.int64), inside.host.view(np.int64)
    for first, size in zip(scope.index(addresses).tolist(), _sizes(inside), strict=True):
        for start in range(0, size, CHUNK):
            yield first + np.arange(start, min(start + CHUNK, size), dtype=np.int64)


def sentence(narrowing: Narrowing) -> str:
    """What a new exclusion means, for the person who made it."""
    named = narrowing.prefixes[:NAMED]
    more = len(narrowing.prefixes) - len(named)
    where = ", ".join(named) + (f" and {more:,} more prefixes" if more else "")
    many = narrowing.addresses > 1
    who = f"{narrowing.addresses:,} addresses are" if many else "1 address is"
    they, have = ("they are", "they") if many else ("it is", "it")
    return (
        f"Note: {who} excluded since the run began ({where}): {they} asked no more. "
        f"What {have} answered before stays in the run"
    )


def _sizes(ranges: Ranges) -> list[int]:
    return [_whole(d, c) - _whole(b, a) + 1 for a, b, c, d in zip(
        ranges.host.tolist(), ranges.net.tolist(), ranges.last_host.tolist(), ranges.last_net.tolist(), strict=True
    )]  # fmt: skip


def _whole(net: int, host: int) -> int:
    return net << 64 | host


def _texts(ranges: Ranges) -> list[str]:
    """Ranges as prefixes, the way people write them."""
    ends = zip(
        ranges.net.tolist(), ranges.host.tolist(), ranges.last_net.tolist(), ranges.last_host.tolist(), strict=True
    )  # fmt: skip
    return [
        _text(network)
        for net, host, last_net, last_host in ends
        for network in summarize_address_range(
            IPv6Address(_whole(net, host)), IPv6Address(_whole(last_net, last_host))
        )
    ]


def _text(network: IPv6Network) -> str:
    four = network.network_address.ipv4_mapped
    if four is not None and network.prefixlen >= 96:
        return str(four) if network.prefixlen == 128 else f"{four}/{network.prefixlen - 96}"
    return str(network.network_address) if network.prefixlen == 128 else str(network)
