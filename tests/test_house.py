"""The house keeps its shape: floors, who may import what, how long a file may be."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
HOUSE = ROOT / "dnsonde"

FLOORS = (
    {"errors", "clock", "registry", "choices", "escape", "scratch", "stopping", "utf8"},
    {"wire", "settings", "whole", "lang", "extra"},
    {"table", "net", "beside", "intel", "owners", "compile"},
    {"formats", "authority", "probe", "detect"},
    {"findings"},
    {"report", "lab", "take"},
    {"view"},
    {"page"},
    {"export"},
    {"write", "mail"},
    {"look", "watch", "shelf", "hosts", "doctor", "enrich"},
    {"run"},
    {"loop"},
    {"web"},
    {"cli"},
    {"__main__"},
)
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
LENGTH_MAX = 600
FORBIDDEN_NAMES = {"utils", "util", "helpers", "core", "common", "misc"}

# Private modules that other rooms import all the same: in a room that is a registry whatever is no entry is private.
FACES = {
    "detect._contract",
    "detect._stages",
    "formats._contract",
    "formats._reading",
    "web._site",
    "web._serve",
}

# A library, and the only place that may import it.
ONLY_IN = {"numba": "wire/_kernels/", "ctypes": "net/_libc.py"}


def sources() -> list[Path]:
    return sorted(HOUSE.rglob("*.py"))


def room_of(path: Path) -> str:
    return path.relative_to(HOUSE).parts[0].removesuffix(".py")


def imported(source: str) -> Iterator[tuple[int, str]]:
    """Every module that a source imports, wherever it does: (line, dotted name)."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in {"import_module", "__import__"}:
            first = node.args[0] if node.args else None
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield node.lineno, first.value


def faults(path: Path, source: str) -> Iterator[str]:
    """What is wrong with the imports of one file."""
    here = room_of(path)
    inside = path.relative_to(HOUSE).as_posix()
    for line, name in imported(source):
        parts = name.split(".")
        if name.startswith("."):
            yield f"{inside}:{line}: relative import {name}"
        elif parts[0] in ONLY_IN and not inside.startswith(ONLY_IN[parts[0]]):
            yield f"{inside}:{line}: {parts[0]} belongs in {ONLY_IN[parts[0]]}"
        elif parts[0] == "dnsonde" and len(parts) > 1:
            there = parts[1]
            if there != here and FLOOR.get(there, 99) >= FLOOR.get(here, -1):
                yield f"{inside}:{line}: {here} imports {there}, which is not below it"
            private = [
                part
                for part in parts[2:-1] or parts[2:]
                if part.startswith("_") and not part.startswith("__")
            ]
            if private and there != here and f"{there}.{private[0]}" not in FACES:
                yield f"{inside}:{line}: {there}.{private[0]} is that room's own"


@pytest.mark.parametrize("path", sources(), ids=lambda p: p.relative_to(HOUSE).as_posix())
def test_imports_run_downward_and_keep_to_their_room(path: Path) -> None:
    assert list(faults(path, path.read_text())) == []


def test_every_room_has_a_floor() -> None:
    rooms = {room_of(p) for p in sources()} - {"__init__"}
    assert rooms <= set(FLOOR), "give the new room a floor here and in docs/design/README.md"


def test_the_floor_test_sees_what_it_should() -> None:
    inside_a_function = "def f():\n    from dnsonde.run import measure\n"
    assert list(faults(HOUSE / "wire/decode.py", inside_a_function))
    assert list(faults(HOUSE / "wire/decode.py", "import numba.core"))
    assert list(faults(HOUSE / "net/udp.py", "from ctypes import CDLL"))
    assert list(faults(HOUSE / "probe/match.py", "from .plan import Plan"))
    assert list(faults(HOUSE / "probe/match.py", "from dnsonde import authority"))
    assert list(faults(HOUSE / "wire/decode.py", "import_module('dnsonde.table.schema')"))
    assert list(faults(HOUSE / "web/run.py", "from dnsonde.export._attacks import attacks"))
    assert list(faults(HOUSE / "web/run.py", "from dnsonde.export import _attacks"))
    assert not list(faults(HOUSE / "wire/_kernels/decode.py", "import numba"))
    assert not list(faults(HOUSE / "cli/probe.py", "from dnsonde import run"))


@pytest.mark.parametrize("path", sources(), ids=lambda p: p.relative_to(HOUSE).as_posix())
def test_a_file_is_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LENGTH_MAX


def test_init_files_are_empty() -> None:
    assert [p for p in sources() if p.name == "__init__.py" and p.read_text().strip()] == []


def test_nothing_is_called_utils_or_core() -> None:
    named = {part for p in HOUSE.rglob("*") for part in (p.stem, p.stem.lstrip("_"))}
    assert named & FORBIDDEN_NAMES == set()


def dependencies() -> list[str]:
    """Names of what pyproject.toml asks for, extras included."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = project["dependencies"] + [
        d for group in project["optional-dependencies"].values() for d in group
    ]
    return [re.split(r"[^A-Za-z0-9_.-]", wanted)[0].lower() for wanted in asked]


def test_every_dependency_earns_its_line() -> None:
    page = (ROOT / "docs/decisions/0002-dependencies.md").read_text()
    assert [name for name in dependencies() if f"**{name}**" not in page] == []


def test_every_dependency_is_pinned() -> None:
    pins = {line.split("==")[0].lower() for line in (ROOT / "constraints.txt").read_text().splitlines()}
    assert [name for name in dependencies() if name not in pins] == []
