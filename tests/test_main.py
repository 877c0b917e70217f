"""The command line's frame: light help, and no error that reaches a user as a traceback."""

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from dnsonde import __main__ as face
from dnsonde import registry
from dnsonde.errors import PlanError, RunError

HEAVY = {
    "numpy",
    "numba",
    "pyarrow",
    "pandas",
    "ibis",
    "duckdb",
    "dns",
    "rich",
    "msgspec",
    "asyncio",
    "jinja2",
    "starlette",
    "uvicorn",
    "hypothesis",
}
IMPORTED = """
import json, sys
from dnsonde.__main__ import answer
answer(sys.argv[1:])
print(json.dumps(sorted(sys.modules)))
"""


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "dnsonde", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment,
        timeout=60,
    )


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["nonsense"], ["completion", "bash"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", IMPORTED, *arguments], capture_output=True, text=True, check=True
    )
    modules = {name.split(".")[0] for name in json.loads(ran.stdout.splitlines()[-1])}
    assert modules & HEAVY == set()


@pytest.mark.parametrize("name", registry.names("dnsonde.cli"))
def test_every_command_explains_itself(name: str) -> None:
    command = registry.entries("dnsonde.cli", click.Command)[name]
    assert command.name == name
    assert command.get_short_help_str(200).endswith(".")
    nested = command.commands.values() if isinstance(command, click.Group) else [command]
    for one in nested:
        assert one.help
        assert all(p.help for p in one.params if isinstance(p, click.Option))


def test_help_names_every_command() -> None:
    said = run("--help")
    assert said.returncode == 0
    assert all(f"\n  {name} " in said.stdout for name in registry.names("dnsonde.cli"))


def test_version_is_one_line() -> None:
    assert run("--version").stdout.split()[0] == "dnsonde"


@pytest.mark.parametrize("arguments", [["nonsense"], ["--nonsense"], ["completion", "ksh"], ["completion"]])
def test_what_cannot_be_meant_is_2(arguments: list[str]) -> None:
    said = run(*arguments)
    assert said.returncode == 2
    assert said.stderr.startswith("dnsonde: ")
    assert len(said.stderr.splitlines()) == 1
    assert "--help" in said.stderr


def broken(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the next command line raise `error`."""

    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(face.dnsonde, "main", refuse)


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (PlanError("no contact"), 2, "dnsonde: no contact\n"),
        (RunError("damaged \x1b[31m"), 3, "dnsonde: damaged \\x1b[31m\n"),
        (KeyboardInterrupt(), 130, "dnsonde: Stopped.\n"),
        (click.Abort(), 130, "dnsonde: Stopped.\n"),
        (
            OSError(28, "No space left on device", "/x"),
            3,
            "dnsonde: The system refused: No space left on device: /x.\n",
        ),
        (MemoryError(), 3, "dnsonde: The machine's memory is full; nothing that was written is lost.\n"),
    ],
)
def test_errors_become_a_sentence_and_a_code(
    error: BaseException,
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    broken(error, monkeypatch)
    assert face.answer([]) == code
    assert capsys.readouterr().err == said


def test_the_unexpected_is_a_sentence_unless_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken(ZeroDivisionError("division by zero"), monkeypatch)
    monkeypatch.delenv("DNSONDE_TRACEBACK", raising=False)
    assert face.answer([]) == 3
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert "DNSONDE_TRACEBACK=1" in said
    monkeypatch.setenv("DNSONDE_TRACEBACK", "1")
    assert face.answer([]) == 3
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("words", ["completion bash", "detectors", "lab traffic"])
def test_a_reader_that_leaves_early_hears_no_complaint(words: str) -> None:
    # `true` reads nothing, and has ended by the time that we write.
    pipe = f"{sys.executable} -m dnsonde {words} | true; exit ${{PIPESTATUS[0]}}"
    ran = subprocess.run(["bash", "-c", pipe], capture_output=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, b"")


@pytest.mark.parametrize("words", [[], ["lab"], ["plan"]])
def test_who_names_no_command_gets_the_help_as_it_is(words: list[str]) -> None:
    said = run(*words)
    assert (said.returncode, said.stdout) == (2, "")
    assert said.stderr == run(*words, "--help").stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_call_us_back(shell: str) -> None:
    assert "_DNSONDE_COMPLETE" in run("completion", shell).stdout


def test_completion_finishes_a_command() -> None:
    said = run(_DNSONDE_COMPLETE="bash_complete", COMP_WORDS="dnsonde comp", COMP_CWORD="1")
    assert "completion" in said.stdout


def test_a_name_with_an_escape_sequence_reaches_no_terminal(tmp_path: Path) -> None:
    said = run(str(tmp_path / "\x1b[31mred"))
    assert "\x1b" not in said.stderr


@pytest.mark.parametrize("words", [["--help"], ["detectors"], ["explain", "flood"]])
def test_output_that_nobody_reads_to_its_end_is_no_error(words: list[str]) -> None:
    """As in `dnsonde ... | head`; 1 would mean findings."""
    command = [sys.executable, "-m", "dnsonde", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as ran:
        assert ran.stdout is not None
        ran.stdout.close()
        _, said = ran.communicate(timeout=60)
    assert (ran.returncode, said) == (0, b"")


def test_an_exit_for_another_reason_keeps_its_code(monkeypatch: pytest.MonkeyPatch) -> None:
    broken(SystemExit(7), monkeypatch)
    with pytest.raises(SystemExit, match="7"):
        face.answer([])


def test_a_letter_that_the_terminal_lacks_is_spelled_out() -> None:
    said = run("explain", "open_resolver", PYTHONIOENCODING="ascii")
    assert said.returncode == 0, said.stderr
    assert "K\\xfchrer et al." in said.stdout
