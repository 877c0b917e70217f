"""The allow-list: parties whose traffic is left out, and about whom nothing is said."""

import re
from dataclasses import dataclass
from functools import cached_property
from ipaddress import ip_address, ip_network
from pathlib import Path

from dnsonde.errors import SystemRefusal, UsageError
from dnsonde.table.prefix import Prefix
from dnsonde.utf8 import NotUtf8Error, text_of

MOST = 1_000_000  # entries
DOMAIN = re.compile(r"\*?\.?(?P<name>[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*)\.?", re.IGNORECASE)


@dataclass(frozen=True)
class Allowed:
    """Prefixes (addresses among them) and domains, each with all below it."""

    prefixes: tuple[Prefix, ...] = ()
    domains: tuple[str, ...] = ()

    def covers(self, subject: str) -> bool:
        """Whether a finding's subject is one of them, or within one."""
        labels = subject.split(".")
        if any(".".join(labels[number:]) in self._names for number in range(len(labels))):
            return True
        try:
            whole = ip_network(subject, strict=False)
        except ValueError:
            return False
        return any(
            whole.supernet(new_prefix=length) in self._networks
            for version, length in self._lengths
            if version == whole.version and length <= whole.prefixlen
        )

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(self.domains)

    @cached_property
    def _networks(self) -> frozenset[Prefix]:
        return frozenset(self.prefixes)

    @cached_property
    def _lengths(self) -> frozenset[tuple[int, int]]:
        return frozenset((p.version, p.prefixlen) for p in self.prefixes)


def load_allowed(path: Path) -> Allowed:
    """Read an allow-list: an address, a prefix or a domain a line, `#` begins a comment. UsageError names the line."""
    try:
        lines = text_of(path.read_bytes()).splitlines()
    except OSError as error:
        raise SystemRefusal(f"{path} cannot be read: {error.strerror}") from error
    except NotUtf8Error as error:
        raise UsageError(f"{path} {error}; it has an address, a prefix or a domain a line") from None
    found: list[Prefix] = []
    domains: list[str] = []
    for number, line in enumerate(lines, 1):
        entry = line.partition("#")[0].strip()
        if not entry:
            continue
        if len(found) + len(domains) == MOST:
            raise UsageError(
                f"{path} has more than {MOST:,} entries, which is too much to hold every packet against: name prefixes "
                "instead of single addresses, and domains for names below them"
            )
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
