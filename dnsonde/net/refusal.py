"""A socket that would not open, told so that the reader knows what to do."""

import errno

from dnsonde.errors import PortTaken, SystemRefusal


def refusal(
    error: OSError, protocol: str, address: str, port: int, device: str | None = None
) -> SystemRefusal:
    """The sentence for `error`, met when opening `protocol` (udp or tcp) on `address` and `port`."""
    where = f"{protocol.upper()} {f'[{address}]' if ':' in address else address}:{port}"
    match error.errno:
        case errno.EADDRINUSE:
            flags = "-lunp" if protocol == "udp" else "-ltnp"
            return PortTaken(
                f"{where} is already in use; stop what holds it (`ss {flags} 'sport = :{port}'` names it) "
                "or choose another port."
            )
        case errno.EACCES if port:
            said = (
                f"{where} needs a privilege that this user lacks; choose a port of 1024 or above, run "
                f"as root, or allow it: `sudo sysctl net.ipv4.ip_unprivileged_port_start={port}`."
            )
        case errno.EADDRNOTAVAIL:
            said = f"{where}: no interface of this machine has that address; `ip address` lists those it has."
        case errno.ENODEV:
            said = f"{where}: there is no device named {device!r}; `ip link` lists them."
        case errno.EPERM | errno.EACCES if device is not None:
            said = f"{where}: this user may not bind to device {device!r}; run as root or grant CAP_NET_RAW."
        case errno.EPERM | errno.EACCES:
            said = f"{where}: this user may not open it; run as root, or ask who locked this machine down."
        case errno.EAFNOSUPPORT:
            said = (
                f"{where}: this machine has no {'IPv6' if ':' in address else 'IPv4'}; use the other family."
            )
        case errno.EMFILE | errno.ENFILE:
            said = f"{where}: too many open files; raise the limit with `ulimit -n 4096`."
        case _:
            said = f"{where} could not be opened: {error.strerror}; see `dnsonde doctor`."
    return SystemRefusal(said)
