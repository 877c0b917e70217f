"""The pace towards each prefix: a table of theoretical arrival times (ITU-T I.371, GCRA), hashed."""

from typing import Any

from dnsonde.wire._kernels.jit import kernel

_MIX1 = -0x4B47D0C55E6A21B7  # odd, and any such would do
_MIX2 = -0x6B2FB644ECCEEE15


@kernel
def admit_targets(
    targets: Any,
    mask4: int,
    mask_net: int,
    mask_host: int,
    due_ns: Any,
    now_ns: int,
    interval_ns: int,
    tolerance_ns: int,
    admitted: Any,
    slot: Any,
) -> int:
    """Decide on each target in turn; `slot` gets the table's row of each admitted one; how many were."""
    bits = due_ns.size - 1  # the size is a power of two
    count = 0
    for i in range(targets.size):
        net, host = targets[i].net, targets[i].host
        if net == 0 and host >> 32 == 0xFFFF:
            host &= mask4
        else:
            net &= mask_net
            host &= mask_host
        mixed = (net * _MIX1) ^ host
        mixed = (mixed ^ (mixed >> 29)) * _MIX2
        mixed = (mixed ^ (mixed >> 32)) * _MIX1
        k = (mixed ^ (mixed >> 29)) & bits
        admitted[i] = due_ns[k] - tolerance_ns <= now_ns
        if admitted[i]:
            due_ns[k] = max(due_ns[k], now_ns) + interval_ns
            slot[count] = k
            count += 1
    return count


@kernel
def postpone_slots(due_ns: Any, slot: Any, count: int, lag_ns: int) -> None:
    """Put off what follows the first `count` admitted ones by `lag_ns`, as they left that much later."""
    for i in range(count):
        due_ns[slot[i]] += lag_ns
