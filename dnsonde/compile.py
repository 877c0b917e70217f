"""Compile every kernel once, with somebody watching.

Numba compiles a kernel at its first call and keeps the result beside the source, or in the user's cache
folder where the installation is read-only. That takes seconds, and three processes of a run would each do
it; so whoever starts first does it here, on all processors, for the modules that its work needs. A stamp beside the
kept code remembers which are done: it vanishes with that code, and changes with the kernels, numba, Python and
the processor.
"""

import gc
import hashlib
import multiprocessing
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import cached_property, partial
from importlib import import_module
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from types import ModuleType

from dnsonde import registry, stopping

Work = Callable[[], object]

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
LONGEST = ("embedded", "decode", "name", "packet", "columns", "encode", "replied", "datagram", "lines")
ALL = "*"  # in the stamp: every module there was
WORKERS = 4  # at most; each takes some 300 MB


def compile_all(
    on_progress: Callable[[int, int, str], None],
    modules: Sequence[str] | None = None,
    beside: Mapping[str, Work] | None = None,
) -> bool:
    """Compile what is not compiled yet of `modules` (names in `wire`; None: all); False when there was nothing to do.

    beside: what else is made once, by name: functions that other processes can import, done on the same processors.
    on_progress(done, total, name): called with done == 0 before anything is done, and after each module or function.
    """
    stamp = _Stamp()
    left = stamp.left(modules)
    work: dict[str, Work] = {name: partial(_compile, name) for name in left}
    work.update(beside or {})
    if not work:
        return False
    on_progress(0, len(work), "")
    if left:
        stamp.begin()
    for number, name in enumerate(_made(work), 1):
        on_progress(number, len(work), name)
    if left:
        stamp.add(left)
    return True


def compile_once(
    say: Callable[[str], None],
    modules: Sequence[str] | None = None,
    beside: Mapping[str, Work] | None = None,
) -> None:
    """The same, and say so once."""

    def told(done: int, total: int, _name: str) -> None:
        if done == 0:
            queries = len(beside or {})
            kernels = total - queries
            what = []
            if kernels:
                what.append(f"compiling {kernels} {'module' if kernels == 1 else 'modules'} of inner loops")
            if queries:
                what.append(f"making {queries} {'query' if queries == 1 else 'queries'}")
            how_long = "up to a minute" if kernels else "some seconds"
            say(f"{' and '.join(what).capitalize()}, once; {how_long} ...")

    compile_all(told, modules, beside)


class _Stamp:
    """The file beside the kept code that says which modules are compiled."""

    @cached_property
    def _path(self) -> Path:
        return cache_folder() / f"dnsonde-compiled-{_state()}"

    def _done(self) -> set[str]:
        return set(self._path.read_text().split()) if self._path.exists() else set()

    def left(self, modules: Sequence[str] | None) -> list[str]:
        """Which of them (None: of all) are not compiled; what takes long first."""
        if modules is not None and not modules:
            return []  # and no kernel is imported
        done = self._done()
        if ALL in done or (modules is not None and done.issuperset(modules)):
            return []  # without an import of what this work may not need
        left = [name for name in _names() if name not in done and (modules is None or name in modules)]
        return sorted(left, key=lambda name: (LONGEST.index(name) if name in LONGEST else len(LONGEST), name))

    def begin(self) -> None:
        """Throw away what other sources made: Numba looks whether a kernel's own file has changed, not its helpers'."""
        if not self._path.exists() and any(self._path.parent.glob("dnsonde-compiled-*")):
            for kept in self._path.parent.glob("*.nb[ic]"):
                kept.unlink(missing_ok=True)

    def add(self, names: Sequence[str]) -> None:
        """These are compiled now."""
        done = self._done().union(names)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        for old in self._path.parent.glob("dnsonde-compiled-*"):
            if old != self._path:
                old.unlink(missing_ok=True)
        fresh = self._path.with_name(f"{self._path.name}-{os.getpid()}")
        fresh.write_text(" ".join(sorted(done | {ALL} if done.issuperset(_names()) else done)))
        fresh.rename(self._path)


def _made(work: Mapping[str, Work]) -> Iterator[str]:
    """Do each piece of work in whichever process is free; their names as they are done."""
    left = dict(work)
    workers = min(len(work), len(os.sched_getaffinity(0)), WORKERS)
    if workers > 1:
        try:
            with _processes(workers) as pool:
                names = {pool.submit(one): name for name, one in work.items()}
                for future in as_completed(names):
                    future.result()
                    del left[names[future]]
                    yield names[future]
        except (BrokenProcessPool, OSError):
            # No semaphores, or a main program that others cannot import: one alone can do it too.
            pass
    for name, one in left.items():
        one()
        yield name


@contextmanager
def _processes(count: int) -> Iterator[ProcessPoolExecutor]:
    """Processes that begin anew, as this one may hold sockets and threads; whoever is interrupted does not wait."""
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), _begin)
    try:
        yield pool
    except BaseException:
        for one in set(multiprocessing.active_children()) - others:
            one.kill()
        pool.shutdown(cancel_futures=True)  # at once, and no semaphore is left for Python to complain of
        raise
    pool.shutdown()


def _compile(name: str) -> None:
    with import_module(f"{KERNELS}.jit").remembering():
        import_module(f"{WIRE}.{name}").warm()


def _begin() -> None:
    """Ctrl-C is for the process that waits for us; and compilers make little garbage, and much to look through."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.disable()
    stopping.end_lightly()


def _names() -> list[str]:
    return [module.__name__.removeprefix(f"{WIRE}.") for module in warmable()]


def warmable() -> list[ModuleType]:
    """The modules of `wire` that have kernels behind them: those that define `warm`."""
    modules = [import_module(f"{WIRE}.{name}") for name in registry.names(WIRE)]
    return [m for m in modules if hasattr(m, "warm")]


def cache_folder() -> Path:
    """Where numba keeps this installation's kernels: beside them, or in the user's cache folder."""
    for name in registry.names(KERNELS):
        for thing in vars(import_module(f"{KERNELS}.{name}")).values():
            kept = getattr(getattr(thing, "stats", None), "cache_path", None)
            if kept is not None:
                return Path(kept)
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
