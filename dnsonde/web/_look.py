"""A look for threats in a lake, asked for from the page: in a process of its own, one at a time."""

import multiprocessing
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any

from dnsonde.errors import DnsondeError, UsageError
from dnsonde.stopping import end_lightly
from dnsonde.table.prefix import Prefix


@dataclass(slots=True)
class Look:
    """How far it is: the detector that is at work, and which of how many it is; failed: why it ended, if it did so.

    phase: `starting`, `preparing` while the detectors' queries are made, once after an installation, or `looking`.
    """

    phase: str = "starting"
    item: str = ""
    done: int = 0
    total: int = 0
    failed: str = ""
    ended: Event = field(default_factory=Event)

    @property
    def over(self) -> bool:
        """Whether it has ended, one way or the other."""
        return self.ended.is_set()


class Looks:
    """The looks of one server, by the lake's key."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._looks: dict[str, Look] = {}

    def of(self, key: str) -> Look | None:
        """The last look into a lake, None where nobody asked for one."""
        return self._looks.get(key)

    def start(self, key: str, folder: Path, home: Sequence[Prefix]) -> None:
        """Begin one; UsageError while another is under way, for each takes the memory of one `dnsonde detect`."""
        with self._lock:
            busy = next((name for name, look in self._looks.items() if not look.over), None)
            if busy is not None:
                raise UsageError(f"threats are being looked for in {busy} just now: wait for that to end")
            look = self._looks[key] = Look()
        context = multiprocessing.get_context("spawn")
        line, far = context.Pipe()
        process = context.Process(target=_child, args=(far, str(folder), tuple(home)), daemon=True)
        try:
            process.start()
        except OSError as error:
            look.failed = f"no process could be started: {error.strerror}"
            look.ended.set()
            return
        far.close()
        Thread(target=_follow, args=(line, process, look), daemon=True).start()


def _follow(line: Connection, process: BaseProcess, look: Look) -> None:
    """Take note of what the child says, until it is silent and gone."""
    ended = False
    with suppress(EOFError, OSError):
        while True:
            said: dict[str, Any] = line.recv()
            if "failed" in said:
                look.failed = said["failed"]
            elif "over" in said:
                ended = True
            else:
                look.phase, look.item = said["phase"], said["item"]
                look.done, look.total = said["done"], said["total"]
    line.close()
    process.join()
    if not (ended or look.failed):
        look.failed = "the process ended without a word"
    look.ended.set()


def _child(line: Connection, folder: str, home: tuple[Prefix, ...]) -> None:
    from dnsonde import watch  # noqa: PLC0415 - in the child alone
    from dnsonde.clock import SystemClock  # noqa: PLC0415

    end_lightly()
    Thread(target=_end_with_parent, args=(line,), daemon=True).start()
    try:
        watch.detect(
            [folder],
            watch.Asked(home=home),
            SystemClock(),
            lambda p: line.send(p.as_dict()),
            fresh=True,
        )
    except DnsondeError as error:
        line.send({"failed": str(error)})
    except Exception as error:  # noqa: BLE001 - whatever it is, the page has to tell
        line.send({"failed": f"{type(error).__name__}: {error}"})
    else:
        line.send({"over": True})


def _end_with_parent(line: Connection) -> None:
    with suppress(EOFError, OSError):
        line.recv()
    os._exit(1)
