"""Where what was worked out once is kept for the next time: a folder beside this package, or the user's own."""

import hashlib
import os
from functools import cache
from importlib.resources import files
from pathlib import Path


@cache
def kept_folder() -> Path | None:
    """Beside the sources where one may write there, else in the user's cache folder; None where there is neither.

    It may not be there yet. In the user's each installation has its own.
    """
    house = Path(str(files("dnsonde")))
    beside = house / "__pycache__"
    if os.access(beside if beside.is_dir() else house, os.W_OK | os.X_OK):
        return beside
    named = os.environ.get("XDG_CACHE_HOME")
    try:
        caches = Path(named) if named else Path.home() / ".cache"
    except RuntimeError:
        return None
    return caches / "dnsonde" / hashlib.sha256(str(house).encode()).hexdigest()[:16]
