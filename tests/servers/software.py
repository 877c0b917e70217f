"""How each DNS server is told to be what a test wants it to be: settings in, configuration file and command out."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.servers.relay import INSIDE
from tests.servers.root import SERVER

PROBER = "127.0.0.1"  # where the system sends from towards loopback: whom a closed server refuses
FRIEND = "127.0.0.2"  # whom nobody refuses


@dataclass(frozen=True, slots=True)
class Setting:
    """One server.

    address, port: where it listens, and whence it asks others; root: address of the root server; upstream: a server
    on the same port that it forwards everything to, none if empty, `ADDRESS#PORT` for dnsmasq; closed: refuses the
    prober; more: configuration to put in (PowerDNS: arguments); late: likewise, behind all blocks.
    """

    folder: Path
    address: str
    port: int
    root: str
    upstream: str = ""
    closed: bool = False
    more: str = ""
    late: str = ""
    inner: int = 0  # port on 127.0.0.1 of one that is relayed


@dataclass(frozen=True, slots=True)
class Software:
    """A program, the Debian package that has it, and how to start it: writes the files, returns the arguments."""

    program: str
    package: str
    arguments: Callable[[Setting], list[str]]
    relayed: bool = False  # it listens only on addresses of interfaces, see `relay`

    @property
    def path(self) -> str | None:
        """Where the program lies, if anywhere: users have no sbin in their PATH."""
        return shutil.which(
            self.program, path=f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin"
        )


def _hints(s: Setting) -> Path:
    return _write(s, "root.hints", f". 3600 NS {SERVER}\n{SERVER} 3600 A {s.root}\n")


def _write(s: Setting, name: str, text: str) -> Path:
    path = s.folder / name
    path.write_text(text)
    return path


def _bind(s: Setting) -> list[str]:
    """A client outside of allow-recursion gets REFUSED."""
    upstream = f"forward only; forwarders {{ {s.upstream} port {s.port}; }};" if s.upstream else ""
    friends = f"!{PROBER}; any;" if s.closed else "any;"
    config = f"""
options {{
  directory "{s.folder}"; pid-file none; session-keyfile none;
  listen-on port {s.inner} {{ {INSIDE}; }}; listen-on-v6 {{ none; }};
  query-source address {s.address};
  allow-query {{ any; }}; allow-query-cache {{ {friends} }}; allow-recursion {{ {friends} }};
  dnssec-validation no; recursion yes; empty-zones-enable no; max-cache-size 4M;
  {upstream}
  {s.more}
}};
controls {{ }};
zone "." {{ type hint; file "{_hints(s)}"; }};
{s.late}
"""
    return ["-4", "-g", "-n", "1", "-c", str(_write(s, "named.conf", config))]


def _unbound(s: Setting) -> list[str]:
    """access-control has `refuse` (REFUSED) and `deny` (silence)."""
    forward = f"forward-zone:\n name: .\n forward-addr: {s.upstream}@{s.port}\n" if s.upstream else ""
    closed = f"access-control: {PROBER}/32 refuse" if s.closed else ""
    family = "do-ip6: no" if "." in s.address else "prefer-ip6: yes"
    config = f"""
server:
  directory: "{s.folder}"
  chroot: ""
  username: ""
  pidfile: ""
  use-syslog: no
  logfile: ""
  do-daemonize: no
  num-threads: 1
  interface: {s.address}
  port: {s.port}
  outgoing-interface: {s.address}
  {family}
  do-not-query-localhost: no
  access-control: 127.0.0.0/8 allow
  access-control: ::1/128 allow
  {closed}
  root-hints: "{_hints(s)}"
  module-config: "iterator"
  {s.more}
remote-control:
  control-enable: no
{forward}{s.late}
"""
    return ["-d", "-p", "-c", str(_write(s, "unbound.conf", config))]


def _knot_resolver(s: Setting) -> list[str]:
    """policy.REFUSE by view; without the flag it asks no name server on loopback."""
    upstream = f"policy.add(policy.all(policy.FORWARD('{s.upstream}@{s.port}')))" if s.upstream else ""
    closed = f"view:addr('{PROBER}/32', policy.all(policy.REFUSE))" if s.closed else ""
    config = f"""
net.ipv6 = false
net.listen('{s.address}', {s.port})
net.outgoing_v4('{s.address}')
modules = {{ 'hints', 'view', 'policy' }}
modules.unload('priming')
modules.unload('detect_time_skew')
hints.root_file('{_hints(s)}')
trust_anchors.remove('.')
cache.size = 4 * MB
policy.add(policy.all(policy.FLAGS('ALLOW_LOCAL')))
{closed}
{upstream}
{s.more}
"""
    return ["-n", "-c", str(_write(s, "kresd.conf", config)), str(s.folder)]


def _powerdns(s: Setting) -> list[str]:
    """A client outside of allow-from gets no answer at all.

    All by arguments: files are YAML from 5.2 on, and were not before 5.0.
    """
    return [
        f"--config-dir={s.folder}",
        f"--socket-dir={s.folder}",
        f"--local-address={s.address}",
        f"--local-port={s.port}",
        f"--query-local-address={s.address}",
        f"--allow-from={f'{FRIEND}/32' if s.closed else '127.0.0.0/8'}",
        "--dont-query=",
        f"--hint-file={_hints(s)}",
        "--dnssec=off",
        "--security-poll-suffix=",
        "--daemon=no",
        "--write-pid=no",
        "--disable-syslog=yes",
        "--threads=1",
        *([f"--forward-zones-recurse=.={s.upstream}:{s.port}"] if s.upstream else []),
        *s.more.split(),
    ]


def _dnsmasq(s: Setting) -> list[str]:
    """It never resolves by itself, and has no access list: without an upstream it says REFUSED."""
    port = "" if "#" in s.upstream else f"#{s.port}"
    upstream = f"server={s.upstream}{port}@{s.address}" if s.upstream else ""
    config = f"""
keep-in-foreground
log-facility=-
pid-file
{"user=root" if os.geteuid() == 0 else ""}
listen-address={s.address}
bind-interfaces
port={s.port}
no-resolv
no-hosts
{upstream}
{s.more}
"""
    return ["-C", str(_write(s, "dnsmasq.conf", config))]


SOFTWARE = {
    "bind": Software("named", "bind9", _bind, relayed=True),
    "unbound": Software("unbound", "unbound", _unbound),
    "knot_resolver": Software("kresd", "knot-resolver", _knot_resolver),
    "powerdns": Software("pdns_recursor", "pdns-recursor", _powerdns),
    "dnsmasq": Software("dnsmasq", "dnsmasq-base", _dnsmasq),
}
