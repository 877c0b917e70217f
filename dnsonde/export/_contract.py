"""What an export is, and what exports have in common.

An export is ONE file in this folder: a function of the file's name whose first parameter says what it writes.
`rows`, a record batch reader: any table, row by row. `view`, a `View`: a run or a lake as a whole, what was found
in it included. Keyword-only parameters with `Annotated[type, "meaning"]` and a default are its settings; its
docstring is what `dnsonde export --list` shows. Names and texts in a view were written by strangers: each export
makes them harmless for whoever reads its format.
"""

import sys

from dnsonde.errors import UsageError


def require_within(name: str, value: float, most: int = sys.maxsize) -> None:
    """UsageError for a setting that is no number from 0 to `most`."""
    if not 0 <= value <= most:  # as NaN is not
        raise UsageError(f"{name} is a number from 0 to {most:,}, not {value}")
