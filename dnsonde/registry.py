"""A folder is its own registry: what lies in it is what there is."""

import pkgutil
from functools import cache
from importlib import import_module
from importlib.resources import files
from typing import TypeVar

Kind = TypeVar("Kind")


def names(package: str) -> list[str]:
    """Names of the public modules of `package`, sorted, without importing any of them.

    Cheap enough for shell completion and `--help`.
    """
    path = [str(files(package))]
    return sorted(m.name for m in pkgutil.iter_modules(path) if not m.name.startswith("_"))


@cache
def entries(package: str, kind: type[Kind]) -> dict[str, Kind]:
    """Map each public module of `package` to its object of the same name.

    `kind` is what the objects must be instances of; a module that breaks the rule raises
    TypeError, which is a programmer's mistake and has a contract test.
    """
    found: dict[str, Kind] = {}
    for name in names(package):
        entry = getattr(import_module(f"{package}.{name}"), name, None)
        if not isinstance(entry, kind):
            raise TypeError(f"{package}.{name} must define `{name}`, a {kind.__name__}")
        found[name] = entry
    return found
