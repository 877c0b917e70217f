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


def entry(package: str, kind: type[Kind], name: str) -> Kind:
    """The object of that name in the module of that name, the only one of `package` to be imported.

    `kind` is what it must be an instance of; a module that breaks the rule raises TypeError, which is a programmer's
    mistake and has a contract test.
    """
    found = getattr(import_module(f"{package}.{name}"), name, None)
    if not isinstance(found, kind):
        raise TypeError(f"{package}.{name} must define `{name}`, a {kind.__name__}")
    return found


@cache
def entries(package: str, kind: type[Kind]) -> dict[str, Kind]:
    """Map each public module of `package` to its object of the same name; see `entry`."""
    return {name: entry(package, kind, name) for name in names(package)}
