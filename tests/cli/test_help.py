"""The help of every command, as a terminal of 80 columns shows it."""

from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from dnsonde.__main__ import dnsonde
from dnsonde.findings.about import detector_names
from dnsonde.intel.remedies import remedies


def every(command: click.Command, context: click.Context) -> Iterator[tuple[click.Command, click.Context]]:
    yield command, context
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            nested = command.get_command(context, name)
            assert nested is not None
            yield from every(nested, click.Context(nested, info_name=name, parent=context))


COMMANDS = list(every(dnsonde, click.Context(dnsonde, info_name="dnsonde")))


@pytest.mark.parametrize(
    ("command", "context"), [pytest.param(*both, id=both[1].command_path) for both in COMMANDS]
)
def test_a_help_is_whole_and_shows_no_marks_of_its_source(
    command: click.Command, context: click.Context
) -> None:
    formatter = click.HelpFormatter(width=78, max_width=78)
    command.format_help(context, formatter)
    said = formatter.getvalue()
    assert "\b" not in said
    assert "\\b" not in said
    assert "..." not in said.partition("\nCommands:")[2], "a first sentence that has no room"


def test_examples_keep_their_lines() -> None:
    context = {context.command_path: command.get_help(context) for command, context in COMMANDS}
    assert "\n  dnsonde report runs/november -o report.html\n" in context["dnsonde report"]
    assert "\n  opened           resolves for strangers now, did not before\n" in context["dnsonde diff"]


@pytest.mark.parametrize("name", detector_names())
def test_who_asks_for_an_explanation_hears_what_to_do(name: str) -> None:
    said = CliRunner().invoke(dnsonde, ["explain", name]).output
    assert "\nWhy it matters\n  " in "\n".join(line.rstrip() for line in said.splitlines())
    assert "**" not in said
    measure = remedies().of_detector(name)
    assert ("\nWhat to do\n" in said) == (measure is not None)
    if measure is not None:
        shown = [r for r in measure.remedy if r.config.strip().splitlines()[-1] in said]
        assert shown, "the lines to copy"
