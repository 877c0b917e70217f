"""The exceptions that people are told of, in one place.

::

    DnsondeError            anything the programmer or the operator can put right
    ├── UsageError          a wrong flag or argument                               exit 2
    │   ├── PlanError       a plan the rules forbid or that cannot be read         exit 2
    │   └── OtherLog        a log that lies beside those that are read             exit 2
    └── Failure             the work could not be done                             exit 3
        ├── RunError        a run or lake that is missing, foreign or damaged
        ├── Gone            a process of ours beside this one no longer answers
        ├── SystemRefusal   the machine said no: permission, route, disk
        │   └── PortTaken   ... a port that another process holds
        └── LabError        the lab could not be built

What the *network* did is never an exception: it is a ``status`` or an ``outcome`` in a table.
"""


class DnsondeError(Exception):
    """A sentence that says what is wrong and what to do about it."""

    exit_code = 3


class UsageError(DnsondeError):
    """A flag or an argument that cannot be meant."""

    exit_code = 2


class PlanError(UsageError):
    """A plan that the rules forbid, or that cannot be read."""


class OtherLog(UsageError):
    """A log of a program that we read other logs of, in whose folder it lies."""


class Failure(DnsondeError):
    """The work could not be done."""


class RunError(Failure):
    """A run or a lake that is missing, from another version, or damaged."""


class Gone(Failure):
    """Nobody answers any more in a child process; why, it may have said itself."""


class SystemRefusal(Failure):
    """The machine said no: a port in use, no permission, no route, a full disk."""


class PortTaken(SystemRefusal):
    """Another process holds the port."""


class LabError(Failure):
    """The lab could not be built."""


def unexpected(error: Exception) -> str:
    """One sentence for an error that no room of the house foresaw."""
    if isinstance(error, RuntimeError) and "no locator available" in str(error):
        return "Compiled code cannot be kept anywhere: set NUMBA_CACHE_DIR to a folder that you may write to."
    if isinstance(error, MemoryError):
        return "The machine's memory is full; nothing that was written is lost."
    if type(error).__name__ == "IOException" and "duckdb" in type(error).__module__:
        said = " ".join(str(error).split()).removeprefix("IO Error: ")
        return f"A table cannot be read or written ({said}): see that its folder is whole, and try again."
    if isinstance(error, OSError) and error.strerror:
        where = f": {error.filename}" if error.filename else ""
        return f"The system refused: {error.strerror}{where}."
    what = str(error).strip().splitlines()
    said = f": {what[0]}" if what else ""
    return (
        f"Something unexpected happened ({type(error).__name__}{said}). This is a fault of dnsonde, please "
        "report it; DNSONDE_TRACEBACK=1 before the command shows where."
    )
