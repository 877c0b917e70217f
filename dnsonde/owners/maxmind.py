"""MaxMind DB, as MaxMind, IPinfo and others give it (format 2.0)."""

import struct
from pathlib import Path

import maxminddb

from dnsonde.errors import UsageError
from dnsonde.owners.owner import NOBODY, Address, Owner, asn_of, country_of, text_of

MARK = b"\xab\xcd\xefMaxMind.com"
TAIL = 128 * 1024  # octets at the end that hold the mark
FAULTS = (
    ArithmeticError, LookupError, RecursionError, TypeError, ValueError, maxminddb.InvalidDatabaseError, struct.error,
)  # fmt: skip


def is_maxmind(path: Path) -> bool:
    """Whether a file is one."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - TAIL))
        return MARK in file.read()


class MaxMind:
    """A MaxMind DB; what its record calls a thing differs by who made it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            # In Python: what is written in C reads outside of a damaged file, and ends the process.
            self._reader = maxminddb.open_database(path, maxminddb.MODE_MMAP)
        except FAULTS as error:
            raise self._damaged(error) from error
        self._only_ipv4 = self._reader.metadata().ip_version == 4

    def find(self, address: Address) -> tuple[int, Owner]:
        """See `Source`; UsageError where it is damaged. Its prefixes are none of routing, and not told."""
        if self._only_ipv4 and address.version == 6:
            return (1 << address.max_prefixlen) - 1, NOBODY
        try:
            record, bits = self._reader.get_with_prefix_len(address)
        except FAULTS as error:
            raise self._damaged(error) from error
        if address.version == 4 and bits > 32:
            bits -= 96
        spare = address.max_prefixlen - bits
        return int(address) | (1 << spare) - 1, _of_record(record)

    def _damaged(self, error: Exception) -> UsageError:
        return UsageError(
            f"{self._path} is a damaged MaxMind DB ({error or type(error).__name__}): get it again"
        )


def _of_record(record: object) -> Owner:
    if not isinstance(record, dict):
        return NOBODY
    traits = record.get("traits")
    flat = {**(traits if isinstance(traits, dict) else {}), **record}
    country = flat.get("country_code") or flat.get("country") or flat.get("registered_country")
    if isinstance(country, dict):
        country = country.get("iso_code")
    asn = flat.get("autonomous_system_number", flat.get("asn"))
    name = flat.get("autonomous_system_organization", flat.get("as_name", flat.get("name")))
    return Owner(asn=asn_of(asn), as_name=text_of(name), country=country_of(country))
