"""The command line: finds the commands, and turns errors into a sentence and an exit code.

0 done, 1 findings at or above `--fail-on` (or differences, where they were asked for), 2 a command or a plan
that cannot be meant, 3 the work could not be done, 130 stopped by Ctrl-C (128 and the number of another signal).
"""

import os
import resource
import sys
import traceback
from contextlib import suppress
from types import MappingProxyType
from typing import Any

import click

from dnsonde import escape, registry, stopping
from dnsonde.errors import DnsondeError, unexpected

ON_TABLES = {  # commands that read or write tables
    "detect", "diff", "enrich", "export", "ingest", "query", "report", "show",
}  # fmt: skip
OPEN_FILES = 1 << 16
FAILED = 3


class Commands(click.Group):
    """A group whose commands are the modules of `dnsonde.cli`; each imports what it needs when it runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of the commands, sorted."""
        del ctx
        return registry.names("dnsonde.cli")

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name; None lets click suggest a near one."""
        del ctx
        if cmd_name not in registry.names("dnsonde.cli"):
            return None
        return registry.entry("dnsonde.cli", click.Command, cmd_name)


HELP = """See your network's DNS as a prober like SecShow sees it.

dnsonde measures which hosts of networks that you are authorised to probe resolve for strangers, finds in
captures, logs and flows who probes and attacks you, and tells what to do about both.

\b
Try it on loopback:         dnsonde lab demo
What is in this capture:    dnsonde detect trace.pcap --home 192.0.2.0/24
Write a plan, and check it: dnsonde plan new > plan.toml
                            dnsonde plan check plan.toml
Measure:                    dnsonde probe plan.toml -o runs/first
Look:                       dnsonde show runs/first
A report to read:           dnsonde report runs/first -o report.html

Exit codes: 0 done; 1 findings that you asked to fail on; 2 a command or plan that cannot be meant; 3 the
work could not be done; 130 stopped by Ctrl-C. DNSONDE_TRACEBACK=1 shows where an unexpected error came from.
"""

SETTINGS = MappingProxyType({"help_option_names": ["-h", "--help"], "max_content_width": 110})


@click.command(cls=Commands, help=HELP, context_settings=dict(SETTINGS))
@click.version_option(package_name="dnsonde", prog_name="dnsonde", message="%(prog)s %(version)s")
def dnsonde() -> None:
    """Hold the options that stand before a command."""


def answer(arguments: list[str] | None = None) -> int:
    """Run one command line and return its exit code; no exception and no traceback leaves here."""
    try:
        result: Any = dnsonde.main(arguments, prog_name="dnsonde", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return error.exit_code
    except (click.ClickException, DnsondeError) as error:
        if stopping.told:
            return stopped()
        return complain(
            advice(error) if isinstance(error, click.ClickException) else str(error), error.exit_code
        )
    except (KeyboardInterrupt, click.Abort):
        return stopped()
    except (BrokenPipeError, SystemExit) as error:
        if not stopping.is_unread(error):
            raise
        stopping.print_no_more()
        return 0  # a 1 would mean findings
    except Exception as error:  # noqa: BLE001 - a face shows no traceback; this is the last one to catch
        if stopping.told:  # libraries have their own errors for it
            return stopped()
        if os.environ.get("DNSONDE_TRACEBACK"):
            traceback.print_exc()
        return complain(unexpected(error), FAILED)
    return result if isinstance(result, int) else 0


def advice(error: click.ClickException) -> str:
    """Click's own sentence, and where to read more."""
    said = " ".join(error.format_message().split())
    said += "" if said.endswith((".", "?", "!")) else "."
    context = error.ctx if isinstance(error, click.UsageError) else None
    return f"{said} Try: {context.command_path} --help" if context else said


def stopped() -> int:
    """Say that somebody stopped it."""
    return complain("Stopped.", stopping.exit_code())


def complain(sentence: str, code: int) -> int:
    """Say a sentence on stderr, harmless to a terminal, and hand back the code."""
    with suppress(OSError):  # the terminal may be gone
        click.echo(f"dnsonde: {escape.terminal(sentence)}", err=True)
    return code


def main() -> None:
    """Where the installed `dnsonde` command begins."""
    stopping.listen()
    stopping.end_lightly()
    _open_many()
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever called: no file of ours may come in its place
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8"))
        # A letter that the terminal's encoding does not have is spelled out.
        getattr(sys, name).reconfigure(errors="backslashreplace")
    try:
        if sys.argv[1:2] and sys.argv[1] in ON_TABLES and not any("spark" in word for word in sys.argv):
            _without_pandas()
        code = answer()
    except BaseException:
        if not stopping.told:
            raise
        code = stopped()
    if stopping.told and code:
        os._exit(code)  # an import that was cut short may not survive the interpreter's own end
    sys.exit(code)


def _open_many() -> None:
    """Let this process open more files than a shell's usual 1,024, as far as it may: a lake can have as many parts."""
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if most == resource.RLIM_INFINITY else min(OPEN_FILES, most)
    if now != resource.RLIM_INFINITY and now < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def _without_pandas() -> None:
    """Load pyarrow, and let it believe that there is no pandas.

    It would import it at its first array, for a third of a second, to see whether that is one of pandas' own. None of
    ours is. Whoever else imports pandas later gets it.
    """
    sys.meta_path.insert(0, _NoPandas)
    import pyarrow as pa  # noqa: PLC0415 - only commands that read tables wait for it

    pa.array([])
    sys.meta_path.remove(_NoPandas)


class _NoPandas:
    """What finds modules, and no pandas."""

    @staticmethod
    def find_spec(name: str, _path: object, _target: object = None) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(name)


if __name__ == "__main__":
    main()
