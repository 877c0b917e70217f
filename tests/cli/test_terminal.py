"""What is to be typed next means the same to a shell."""

import io
import os
import subprocess
from pathlib import Path

import pytest
from rich.console import Console

from dnsonde.cli._terminal import show_list, typed
from dnsonde.escape import terminal


@pytest.mark.parametrize(
    "name",
    [
        "lake",
        "it's [mine] $HOME `x`",
        "пример",
        "caf\udce9",
        "a\x1b]0;owned\x07\\'b",
        "two\nlines",
        "-o",
        "-\n",
    ],
)
def test_any_path_is_typed_so_that_a_shell_has_it_back(name: str) -> None:
    said = typed(Path(name))
    assert terminal(said, keep="") == said
    ran = subprocess.run(["bash", "-c", f"printf %s {said}"], check=True, capture_output=True)
    assert ran.stdout.removeprefix(b"./") == os.fsencode(name)
    assert not said.startswith("-"), "or it would be an option"


@pytest.mark.parametrize("width", [20, 40, 100])
def test_a_list_is_whole_however_narrow_the_terminal(width: int) -> None:
    out = Console(file=io.StringIO(), width=width)
    show_list(
        out, ("detector", "about", "finds"), [("dns_sweep", "address", "One outside address asks many.")]
    )
    assert isinstance(out.file, io.StringIO)
    said = out.file.getvalue()
    assert "dns_sweep" in said
    assert "address" in said
    assert "One outside address asks many." in " ".join(said.split())
    assert max(map(len, said.splitlines())) <= width
