"""Lists fit the terminal."""

import io
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from dnsonde.cli._terminal import WIDTH, show_list


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


@pytest.mark.parametrize("command", [("traffic",), ("scenarios",)])
def test_the_labs_lists_fit_too(command: tuple[str, ...], dnsonde: Callable[..., Any]) -> None:
    said = dnsonde("lab", *command).stdout.splitlines()
    assert said[0].split()[0] == "scenario"
    assert max(map(len, said)) <= WIDTH
