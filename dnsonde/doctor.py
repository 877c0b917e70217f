"""What this machine allows, and the command that fixes each thing that it does not.

Nothing is changed and no packet is sent: sockets are opened, bound and closed.
"""

import errno
import resource
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

BUFFER_BYTES = 4 << 20  # what the probing socket asks for
FILES = 1024  # TCP connections that the authority serves at once, and some
CAPABILITIES = {10: "cap_net_bind_service", 12: "cap_net_admin", 13: "cap_net_raw"}
DNS_PORT = 53


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at. good: as wanted; found: what is so; fix: the command or advice where it is not."""

    name: str
    good: bool
    found: str
    fix: str = ""


def checks(proc: Path = Path("/proc")) -> Iterator[Check]:
    """Look at everything, the cheap things first; `proc` is where the kernel's own files lie."""
    yield port(proc, _bind_port)
    yield capabilities(proc)
    yield buffer(proc, "receive", "rmem_max")
    yield buffer(proc, "send", "wmem_max")
    yield open_files(resource.getrlimit(resource.RLIMIT_NOFILE))
    yield bound_to_loopback()
    yield ipv6(proc)
    yield clock(_synchronised())
    yield kernels()


def port(proc: Path, bind: Callable[[int], int]) -> Check:
    """Whether the authority can serve port 53; `bind(port)` returns 0 or an errno."""
    name = "port 53 for the authority"
    refused = bind(DNS_PORT)
    if not refused:
        return Check(name, good=True, found="free, and we may bind it")
    if refused == errno.EADDRINUSE:
        fix = (
            "see who holds it: ss -lunp 'sport = :53' - or serve one address: authority = \"...\" in the plan"
        )
        return Check(name, good=False, found="in use by another program", fix=fix)
    lowest = _number(proc / "sys/net/ipv4/ip_unprivileged_port_start", 1024)
    fix = f"sudo setcap cap_net_bind_service=+ep {Path(sys.executable).resolve()}"
    return Check(name, good=False, found=f"ports below {lowest} need a capability", fix=fix)


def capabilities(proc: Path) -> Check:
    """Which of the capabilities that help are there; none is needed to probe."""
    status = (proc / "self/status").read_text()
    effective = next(
        (int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapEff:")), 0
    )
    held = [name for bit, name in CAPABILITIES.items() if effective >> bit & 1]
    return Check(
        "capabilities", good=True, found=", ".join(held) if held else "none, and none is needed to probe"
    )


def buffer(proc: Path, way: str, setting: str) -> Check:
    """Whether the kernel grants a socket buffer that survives a burst."""
    granted = _number(proc / "sys/net/core" / setting, 0)
    name = f"{way} buffer"
    if granted >= BUFFER_BYTES:
        return Check(name, good=True, found=f"up to {granted // 1024:,} KiB")
    fix = f"sudo sysctl -w net.core.{setting}={BUFFER_BYTES}"
    found = (
        f"up to {granted // 1024:,} KiB; far above 50,000 packets a second bursts may be lost (and counted)"
    )
    return Check(name, good=False, found=found, fix=fix)


def open_files(limits: tuple[int, int]) -> Check:
    """Whether the authority's TCP side has descriptors enough; limits: soft, hard."""
    soft, hard = limits
    if soft >= FILES or soft == resource.RLIM_INFINITY:
        return Check("open files", good=True, found=f"{soft:,}")
    fix = f"ulimit -n {FILES}" if hard >= FILES else f"raise nofile to {FILES} in /etc/security/limits.conf"
    return Check("open files", good=False, found=f"{soft:,}; the authority wants {FILES:,} for TCP", fix=fix)


def bound_to_loopback() -> Check:
    """Whether a socket may be tied to `lo`, as the lab's are so that nothing outside reaches them."""
    name = "sockets tied to loopback"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as lab:
        try:
            lab.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
            lab.bind(("127.1.2.3", 0))
        except OSError as error:
            fix = "run the lab as root, or on Linux 5.7 or newer, where the interface `lo` is up"
            return Check(name, good=False, found=f"refused: {error.strerror}", fix=fix)
    return Check(name, good=True, found="allowed; the lab is closed to the network")


def ipv6(proc: Path) -> Check:
    """Whether there is a global IPv6 address to probe from."""
    table = proc / "net/if_inet6"
    rows = [line.split() for line in table.read_text().splitlines()] if table.exists() else []
    scopes = {row[3] for row in rows if len(row) > 3}
    if "00" in scopes:
        return Check("IPv6", good=True, found="a global address is there")
    if scopes:
        fix = "ask your provider or `ip -6 address add ADDRESS/64 dev DEVICE`; IPv4 needs none of it"
        return Check("IPv6", good=False, found="no global address: IPv6 targets cannot be reached", fix=fix)
    fix = "sudo sysctl -w net.ipv6.conf.all.disable_ipv6=0"
    return Check("IPv6", good=False, found="switched off: IPv6 targets cannot be reached", fix=fix)


def clock(synchronised: bool | None) -> Check:
    """Whether times of two machines can be compared; None: cannot be told here."""
    if synchronised is None:
        return Check(
            "clock",
            good=True,
            found="nobody here knows whether it is set by NTP; only joins of two hosts mind",
        )
    if synchronised:
        return Check("clock", good=True, found="set by NTP")
    return Check("clock", good=False, found="not set by NTP", fix="sudo timedatectl set-ntp true")


def kernels() -> Check:
    """Whether compiled code can be kept, and where."""
    name = "compiled code"
    try:
        from dnsonde.compile import cache_folder  # noqa: PLC0415 - numba refuses at import

        folder = cache_folder()
    except RuntimeError:
        fix = "export NUMBA_CACHE_DIR=a folder that you may write to"
        return Check(name, good=False, found="can be kept nowhere; every start would compile again", fix=fix)
    return Check(name, good=True, found=f"kept in {folder}")


def _bind_port(number: int) -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("0.0.0.0", number))
        except OSError as error:
            return error.errno or -1
    return 0


def _synchronised() -> bool | None:
    timedatectl = shutil.which("timedatectl")
    if timedatectl is None:
        return None
    try:
        told = subprocess.run(
            [timedatectl, "show", "--property=NTPSynchronized", "--value"],
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return told.stdout.strip() == "yes"


def _number(path: Path, otherwise: int) -> int:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return otherwise
