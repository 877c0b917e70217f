"""What tells one finding from all others, short enough for an address."""

from hashlib import sha256

from dnsonde.view.view import Incident


def key_of(incident: Incident) -> str:
    """Sixteen digits, the same whenever the same is found."""
    return sha256(incident.key.encode("utf-8", "replace")).hexdigest()[:16]
