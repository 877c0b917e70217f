"""The allow-list: parties whose traffic is left out, and about whom nothing is said."""

import re
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from pathlib import Path

from dnsonde.detect._sides import Prefix
from dnsonde.errors import SystemRefusal, UsageError

DOMAIN = re.compile(r"\*?\.?(?P<name>[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*)\.?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Allowed:
    """Prefixes (addresses among them) and domains, each with all below it."""

    prefixes: tuple[Prefix, ...] = ()
    domains: tuple[str, ...] = ()

    def covers(self, subject: str) -> bool:
        """Whether a finding's subject is one of them, or within one."""
        if any(subject == name or subject.endswith(f".{name}") for name in self.domains):
            return True
        try:
            whole = ip_network(subject, strict=False)
        except ValueError:
            return False
        return any(
            whole.version == p.version and whole.network_address in p and whole.prefixlen >= p.prefixlen
            for p in self.prefixes
        )


def load_allowed(path: Path) -> Allowed:
    """Read an allow-list: an address, a prefix or a domain a line, `#` begins a comment. UsageError names the line."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise SystemRefusal(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise UsageError(f"{path} is no text: write an address, a prefix or a domain a line") from None
    found: list[Prefix] = []
    domains: list[str] = []
    for number, line in enumerate(lines, 1):
        entry = line.partition("#")[0].strip()
        if not entry:
            continue
        try:
            found.append(ip_network(entry, strict=False))
            continue
        except ValueError:
            named = DOMAIN.fullmatch(entry)
        if named is None or _is_number(entry):
            raise UsageError(f"{path}, line {number}: {entry!r} is no address, prefix or domain")
        domains.append(named["name"].lower())
    return Allowed(tuple(found), tuple(domains))


def _is_number(entry: str) -> bool:
    """A mistyped address is no domain."""
    try:
        ip_address(entry)
    except ValueError:
        return entry.replace(".", "").isdecimal()
    return True
