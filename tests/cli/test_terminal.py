"""What is to be typed next means the same to a shell."""

import os
import subprocess
from pathlib import Path

import pytest

from dnsonde.cli._terminal import typed
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
