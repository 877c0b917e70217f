"""Compile every kernel once, with somebody watching.

Numba compiles a kernel at its first call and keeps the result beside the source, or in the user's cache
folder where the installation is read-only. That takes seconds, and three processes of a run would each do
it; so whoever starts first does it here, on all processors, for the modules that its work needs. A stamp beside the
kept code remembers which are done: it vanishes with that code, and changes with the kernels, numba, Python and
the processor.
"""

import hashlib
import multiprocessing
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from importlib import import_module
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from types import ModuleType

from dnsonde import registry

WIRE = "dnsonde.wire"
KERNELS = "dnsonde.wire._kernels"

# What probing, answering and the lab run on, and what reads traffic: all modules are in one of them.
MEASURING = (
    "choose", "cookie", "datagram", "decode", "encode", "lines", "name", "pacing", "permute", "replied", "text",
)  # fmt: skip
READING = (
    "capture", "columns", "dnstap", "domain", "embedded", "flow", "lines", "packet", "segments", "text",
)  # fmt: skip

# Begun first: what takes long, so that nobody waits for it, and what others share, so that they find it compiled.
LONGEST = ("embedded", "decode", "name", "packet", "columns", "encode", "datagram", "lines")
ALL = "*"  # in the stamp: every module there was
WORKERS = 4  # at most; each takes some 200 MB


def compile_all(on_progress: Callable[[int, int, str], None], modules: Sequence[str] | None = None) -> bool:
    """Compile what is not compiled yet of `modules` (names in `wire`; None: all); False when there was nothing to do.

    on_progress(done, total, module): called with done == 0 before anything is done, and after each module.
    """
    stamp = cache_folder() / f"dnsonde-compiled-{_state()}"
    done = set(stamp.read_text().split()) if stamp.exists() else set()
    if ALL in done or (modules is not None and done.issuperset(modules)):
        return False  # without an import of what this work may not need
    wanted = [module.__name__.removeprefix(f"{WIRE}.") for module in warmable()]
    left = [name for name in wanted if name not in done and (modules is None or name in modules)]
    if not left:
        return False
    left.sort(key=lambda name: (LONGEST.index(name) if name in LONGEST else len(LONGEST), name))
    on_progress(0, len(left), "")
    if not stamp.exists() and any(stamp.parent.glob("dnsonde-compiled-*")):
        # Numba asks whether a kernel's own file has changed, not whether one that it calls has.
        for kept in stamp.parent.glob("*.nb[ic]"):
            kept.unlink(missing_ok=True)
    for number, name in enumerate(_compiled(left), 1):
        on_progress(number, len(left), name)
    stamp.parent.mkdir(parents=True, exist_ok=True)
    for old in stamp.parent.glob("dnsonde-compiled-*"):
        if old != stamp:
            old.unlink(missing_ok=True)
    fresh = stamp.with_name(f"{stamp.name}-{os.getpid()}")
    done.update(left)
    fresh.write_text(" ".join(sorted(done | {ALL} if done.issuperset(wanted) else done)))
    fresh.rename(stamp)
    return True


def compile_once(say: Callable[[str], None], modules: Sequence[str] | None = None) -> None:
    """Compile the kernels that are not compiled yet, and say so once; `modules` as for `compile_all`."""

    def told(done: int, total: int, _module: str) -> None:
        if done == 0:
            say(f"Compiling {total} modules of inner loops, once; up to a minute ...")

    compile_all(told, modules)


def _compiled(names: list[str]) -> Iterator[str]:
    """Compile modules, each in whichever process is free; their names as they are done."""
    left = list(names)
    workers = min(len(names), len(os.sched_getaffinity(0)), WORKERS)
    if workers > 1:
        # This process may hold sockets and threads: the others begin anew.
        context = multiprocessing.get_context("spawn")
        try:
            with ProcessPoolExecutor(workers, context, _ignore_interrupt) as pool:
                for future in as_completed([pool.submit(_compile, name) for name in names]):
                    left.remove(future.result())
                    yield future.result()
        except (BrokenProcessPool, OSError):
            # No semaphores, or a main program that others cannot import: one alone can do it too.
            pass
    for name in left:
        yield _compile(name)


def _compile(name: str) -> str:
    import_module(f"{WIRE}.{name}").warm()
    return name


def _ignore_interrupt() -> None:
    """Ctrl-C is for the process that waits for us."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


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
    parts += registry.names(WIRE)
    for source in sorted(Path(str(files(KERNELS))).glob("*.py")):
        kept = source.stat()
        parts += [source.name, str(kept.st_mtime_ns), str(kept.st_size)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
