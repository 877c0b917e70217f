"""Compile every kernel once, with somebody watching.

Numba compiles a kernel at its first call and keeps the result beside the source, or in the user's cache
folder where the installation is read-only. That takes seconds, and three processes of a run would each do
it; so whoever starts first does it here. A stamp beside the kept code remembers that it is done: it vanishes
with that code, and changes with the kernels, numba, Python and the processor.
"""

import hashlib
import re
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from types import ModuleType

from dnsonde import registry

WIRE = "dnsonde.wire"
KERNELS = "dnsonde.wire._kernels"


def compile_all(on_progress: Callable[[int, int, str], None]) -> bool:
    """Compile what is not compiled yet; False when there was nothing to do.

    on_progress(done, total, module): called before each module and, with done == total, at the end.
    """
    stamp = cache_folder() / f"dnsonde-compiled-{_state()}"
    if stamp.exists():
        return False
    modules = warmable()
    for done, module in enumerate(modules):
        on_progress(done, len(modules), module.__name__.removeprefix(f"{WIRE}."))
        module.warm()
    stamp.parent.mkdir(parents=True, exist_ok=True)
    for old in stamp.parent.glob("dnsonde-compiled-*"):
        old.unlink(missing_ok=True)
    stamp.touch()
    on_progress(len(modules), len(modules), "")
    return True


def warmable() -> list[ModuleType]:
    """The modules of `wire` that have kernels behind them: those that define `warm`."""
    modules = [import_module(f"{WIRE}.{name}") for name in registry.names(WIRE) if name != "compile"]
    return [m for m in modules if hasattr(m, "warm")]


def cache_folder() -> Path:
    """Where numba keeps this installation's kernels: beside them, or in the user's cache folder."""
    for name in registry.names(KERNELS):
        for thing in vars(import_module(f"{KERNELS}.{name}")).values():
            stats = getattr(thing, "stats", None)
            if stats is not None and hasattr(stats, "cache_path"):
                return Path(stats.cache_path)
    raise LookupError(f"no kernel in {KERNELS}")


def _state() -> str:
    """What the kept code depends on, in 16 hex digits."""
    processor = re.search(r"model name.*", Path("/proc/cpuinfo").read_text())
    parts = [sys.version, version("numba"), version("numpy"), processor.group() if processor else ""]
    for source in sorted(Path(str(files(KERNELS))).glob("*.py")):
        kept = source.stat()
        parts += [source.name, str(kept.st_mtime_ns), str(kept.st_size)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
