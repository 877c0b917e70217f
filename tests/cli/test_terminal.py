"""Lists fit the terminal."""

import io

import pytest
from rich.console import Console

from dnsonde.cli._terminal import show_list


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
