"""The small state of a run folder: whose it is, how far it came, and the lock that keeps it one process's.

Rows are the truth: what has been probed and answered is read back from the Parquet parts (`probe._recover`). The state
only keeps what rows cannot tell: the key, the run's label, the plan's digest and the round that is on.
"""

import fcntl
import json
import os
import secrets
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Annotated, Self

import msgspec

from dnsonde.errors import RunError, SystemRefusal
from dnsonde.table.store import refusal
from dnsonde.whole import put
from dnsonde.wire.name import run_text

VERSION = 1
PLAN = "plan.toml"  # a run's copy of its plan
FILE = "state.json"
LOCK = "state.lock"
TURN = "join.lock"  # whose turn it is of those who join
LOCKS = Path("/proc/locks")
STAMP_US = 250_000  # a process that sends says so for so long in advance


class Narrowing(msgspec.Struct):
    """Addresses that a plan has excluded since the run began: when that was noticed, how many, in which prefixes."""

    time_us: int
    addresses: int
    prefixes: list[str]


class State(msgspec.Struct):
    """One run.

    run: its label in names; key: 32 hexadecimal digits, what its tags are keyed with (who has it can forge); digest:
    `Plan.digest`; round: number of the round that is on, from 0; complete: all rounds are done; counts: what is
    counted without a row each (forged, malformed, ...), as of the last checkpoint; exclusions: made since it began.
    """

    run: Annotated[str, msgspec.Meta(pattern="^[0-9a-v]{8}$")]
    key: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]
    digest: str
    started_us: int
    round: int = 0
    complete: bool = False
    counts: dict[str, int] = msgspec.field(default_factory=dict)
    exclusions: list[Narrowing] = msgspec.field(default_factory=list)
    version: int = VERSION

    @property
    def secret(self) -> bytes:
        """The key's 16 octets."""
        return bytes.fromhex(self.key)


def fresh(digest: str, now_us: int) -> State:
    """The state of a run that begins; label and key are drawn from the system's randomness."""
    return State(run_text(secrets.randbits(40)), secrets.token_hex(16), digest, now_us)


def load(folder: Path) -> State | None:
    """The state in a run folder, None where there is none yet. RunError where it is foreign or damaged."""
    path = Path(folder) / FILE
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RunError(
            f"{path} cannot be read ({error.strerror}): give the folder of a run of yours"
        ) from error
    try:
        state = msgspec.json.decode(text, type=State)
    except (msgspec.DecodeError, ValueError) as error:
        raise RunError(f"{path} is damaged ({error}): start again in another folder") from error
    if state.version != VERSION:
        raise RunError(
            f"{path} is of version {state.version}, this dnsonde reads version {VERSION}: "
            "use the dnsonde that began this run, or start again in another folder"
        )
    return state


def save(folder: Path, state: State) -> None:
    """Put the state in place of the old one, whole or not at all; readable by its owner only, for it holds the key."""
    text = json.dumps(msgspec.to_builtins(state), indent=1) + "\n"
    try:
        put(Path(folder) / FILE, text.encode(), 0o600)
    except OSError as error:
        raise refusal(folder, error) from error


def is_locked(path: Path) -> bool:
    """Whether a process of this machine has it for itself; False where that cannot be told."""
    try:
        status = path.stat()
        held = LOCKS.read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    place = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    return any(" WRITE " in line and f" {place} " in line and "->" not in line for line in held.splitlines())


def is_measured(folder: Path) -> bool:
    """Whether a process is at work in a run folder, as far as that can be told."""
    return is_locked(folder / LOCK)


class Lock:
    """A run folder, made if need be and held by this process until `close`. RunError where another has it.

    With `joining` it is shared with others who join, one after the other: this waits for them, not for who measures.
    sent_until_us: wall time after which the processes before this one sent nothing; None where there was none. The
    file's time of change tells it, which a killed process leaves as well.
    """

    def __init__(self, folder: Path, *, joining: bool = False) -> None:
        self._held = ExitStack()
        path = Path(folder) / LOCK
        self._folder, self._until_us = folder, 0
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.sent_until_us = path.stat().st_mtime_ns // 1000 if path.exists() else None
            self._file = self._held.enter_context(path.open("a"))  # which leaves that time as it is
            turn = self._held.enter_context(path.with_name(TURN).open("w")) if joining else None
        except OSError as error:
            self.close()
            raise SystemRefusal(
                f"cannot make a run in {folder} ({error.strerror}): choose a folder where this user may write"
            ) from error
        try:
            fcntl.flock(self._file, (fcntl.LOCK_SH if joining else fcntl.LOCK_EX) | fcntl.LOCK_NB)
            if turn is not None:
                fcntl.flock(turn, fcntl.LOCK_EX)
        except BlockingIOError as error:
            self.close()
            otherwise = "" if joining else ", or choose another folder"
            raise RunError(f"another process is at work in {folder}: wait for it{otherwise}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def sending(self, now_us: int) -> None:
        """Note that something is about to be sent, for whoever continues. SystemRefusal where that cannot be kept."""
        if self._until_us - STAMP_US <= now_us < self._until_us:
            return
        self._until_us = now_us + STAMP_US
        try:
            os.utime(self._file.fileno(), ns=(self._until_us * 1000, self._until_us * 1000))
        except OSError as error:
            raise refusal(self._folder, error) from error

    def close(self) -> None:
        """Let it go; the end of the process does so too."""
        self._held.close()
