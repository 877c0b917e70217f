"""The secret key of this process for tables that strangers fill."""

import secrets

import numpy as np

from dnsonde.wire._arrays import frozen

# One number for eight octets of a name, and one for its length.
KEYS = frozen(np.frombuffer(secrets.token_bytes(33 * 8), np.uint64), np.uint64)
