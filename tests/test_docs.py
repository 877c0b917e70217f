"""Docs are tested: the reference is current, links lead somewhere, and every command shown runs.

In README.md, the tutorial and the how-to pages, a `console` block's lines that begin with `$ ` are run in order, in
one empty folder a page; each must succeed. A comment right before the block says otherwise:
`<!-- not run: why -->`, or `<!-- exit 1 -->` for commands that end so. Other lines of a block are what it shows,
in part: each must appear in the output (`...` stands for anything).
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs/tutorial").glob("*.md")),
    *sorted((ROOT / "docs/how-to").glob("*.md")),
]
BLOCK = re.compile(
    r"(?:<!-- (?P<note>[^>]*) -->\n)?```(?P<kind>\w+)(?: (?P<file>\S+))?\n(?P<body>.*?)```", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Step:
    """A file to write, or a command to run and what it must say."""

    file: str
    text: str
    shown: tuple[str, ...] = ()
    code: int = 0


def steps(page: str) -> Iterator[Step]:
    for block in BLOCK.finditer(page):
        note = block["note"] or ""
        if note.startswith("not run: ") and len(note) > 20:
            continue
        if block["file"]:
            yield Step(block["file"], block["body"])
        if block["kind"] != "console":
            continue
        code = int(note.removeprefix("exit ")) if note.startswith("exit ") else 0
        command, shown = "", []
        for line in [*block["body"].splitlines(), "$ "]:
            if not line.startswith("$ "):
                shown.append(line)
                continue
            if command:
                yield Step("", command, tuple(shown), code)
            command, shown = line[2:], []


# Pages that begin with a measured lab begin with the same one: it is measured once, and copied.
LAB = re.compile(r"(dnsonde lab demo --hosts \d+ --no-loop) -o (\S+)(?: --progress none)?")


@pytest.fixture(scope="module")
def labs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where labs that were measured lie, by their command."""
    return tmp_path_factory.mktemp("labs")


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_commands_shown_run(path: Path, tmp_path: Path, labs: Path) -> None:
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "COLUMNS": "100",
    }
    for step in steps(path.read_text()):
        if step.file:
            (tmp_path / step.file).write_text(step.text)
            continue
        # The project's own scripts are named as seen from its folder.
        command = re.sub(r"(?<![\w/])(?:\./)?scripts/", f"{ROOT}/scripts/", step.text)
        # Its hosts are the same kinds, only fewer: a page should not take a minute of every gate.
        command = command.replace("scripts/demo", "scripts/demo --hosts 512")
        lab = LAB.fullmatch(command)
        if lab and not step.shown:
            kept = labs / lab[1].replace(" ", "_")
            if kept.exists():
                shutil.copytree(kept, tmp_path / lab[2])
                continue
            command += f" && cp -r {lab[2]} {kept}"
        ran = subprocess.run(
            ["bash", "-c", command],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert ran.returncode == step.code, f"{step.text}\n{ran.stdout}{ran.stderr}"
        said = ran.stdout + ran.stderr
        for line in step.shown:
            pattern = r"\s+".join(".*?".join(map(re.escape, word.split("..."))) for word in line.split())
            assert re.search(pattern, said, re.DOTALL), f"{step.text}\n  does not show: {line}\n{said}"


def test_the_reference_is_current() -> None:
    ran = subprocess.run(
        [sys.executable, ROOT / "scripts/reference", "--check"], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def documents() -> list[Path]:
    return sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").glob("*.md")])


@pytest.mark.parametrize("path", documents(), ids=lambda p: p.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(path: Path) -> None:
    links = re.findall(r"\]\((?!https?:|mailto:|#)([^)#\s]+)", path.read_text())
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_every_page_is_found_from_the_readme() -> None:
    seen: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop().resolve()
        if page in seen or not page.exists():
            continue
        seen.add(page)
        waiting += [page.parent / link for link in re.findall(r"\]\(([^)#\s]+\.md)", page.read_text())]
    assert [
        p.relative_to(ROOT).as_posix() for p in (ROOT / "docs").rglob("*.md") if p.resolve() not in seen
    ] == []


def test_a_page_whose_command_fails_is_seen(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```console\n$ echo one two\none ... two\n$ false\n```\n")
    assert [s.text for s in steps(page.read_text())] == ["echo one two", "false"]
