"""`dnsonde plan`: write a plan, and see in advance what it would send."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.table import Table

    from dnsonde.probe.forecast import PlanReport


@click.group()
def plan() -> None:
    """Write a plan, and see what it would send."""


@plan.command("new")
@click.option("--prefix", "prefixes", multiple=True, metavar="PREFIX", help="What to probe; may be repeated.")
@click.option("--contact", metavar="MAIL|URL", help="Whom to ask about the probes.")
@click.option("--description", metavar="TEXT", help="What the measurement is.")
@click.option("--zone", metavar="NAME", help="The zone that is delegated to your authority.")
@click.option(
    "--authority", multiple=True, metavar="ADDRESS", help="The authority's address; may be repeated."
)
@click.option("--known", metavar="NAME", help="Instead of a zone: a name whose right answer you know.")
@click.option("--answer", multiple=True, metavar="ADDRESS", help="That answer; may be repeated.")
def new(**filled: str | tuple[str, ...] | None) -> None:
    """Print a plan to fill in, every setting explained.

    \b
    dnsonde plan new --prefix 192.0.2.0/24 --contact noc@example.net > plan.toml
    """
    from dnsonde.probe.plan import template

    both = [f"--{name}" for name in ("zone", "authority") if filled["known"] and filled[name]]
    if both:
        raise click.UsageError(f"--known does without {' and '.join(both)}: leave out the one or the other.")
    if filled["answer"] and not filled["known"]:
        raise click.UsageError("--answer is that of a name you know: give --known too.")
    click.echo(fill(template(), filled), nl=False)


@plan.command("check")
@click.argument("path", metavar="PLAN.toml", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
def check(path: Path, *, as_json: bool) -> None:
    """Say what a plan would send, and to whom; nothing is sent.

    Addresses, what is left out and why, packets, duration, load per prefix. Exit code 2 and a sentence where the
    rules forbid the plan.
    """
    from dataclasses import asdict

    from dnsonde.cli._terminal import console
    from dnsonde.clock import SystemClock
    from dnsonde.escape import terminal, typed
    from dnsonde.probe import forecast
    from dnsonde.probe.plan import load_plan

    told = forecast.check(load_plan(path), SystemClock())
    if as_json:
        click.echo(json.dumps(asdict(told)))
        return
    out = console()
    out.print(described(told))
    for warning in told.warnings:
        out.print(f"Note: {terminal(warning)}.")
    if told.probing_txt:
        out.print("\nPublish this as /.well-known/probing.txt (RFC 9511):\n")
        out.print(terminal(told.probing_txt), soft_wrap=True)
    for sentence in told.unfilled:
        out.print(f"To fill in: {terminal(sentence)}.")
    if told.unfilled:
        out.print(f"Next: fill that in, and again dnsonde plan check {typed(path)}", soft_wrap=True)
    else:
        out.print(f"Next: dnsonde probe {typed(path)} -o runs/first", soft_wrap=True)


def described(told: "PlanReport") -> "Table":
    """The forecast as lines of name and value."""
    from rich.table import Table

    from dnsonde.cli._progress import duration, octets
    from dnsonde.escape import terminal
    from dnsonde.lang.words import rounded

    table = Table.grid(padding=(0, 2))
    shards = "" if told.addresses == told.addresses_all else f" in this shard, of {told.addresses_all:,}"
    table.add_row("addresses", f"{told.addresses:,}{shards} ({told.ipv4:,} IPv4, {told.ipv6:,} IPv6)")
    for exclusion in told.excluded:
        table.add_row("left out", f"{exclusion.addresses:,} {terminal(exclusion.reason)}")
    table.add_row(
        "packets", f"{told.packets:,} at most, and {told.packets_per_open} for each host that proves open"
    )
    lasting = f"{duration(told.duration_s)} at most"
    if told.packets_per_open:
        lasting += f" while no host proves open, {duration(told.duration_open_s)} if every one does"
    table.add_row("duration", lasting)
    pace = f"{rounded(told.most_pps)} packets a second at most, {octets(told.bytes_per_s)}/s"
    if told.most_pps < told.total_pps:
        pace += f" (of {rounded(told.total_pps)} in total: the prefixes' ceilings allow no more)"
    table.add_row("pace", pace)
    ceiling = "no ceiling" if told.prefix_pps is None else f"ceiling {rounded(told.prefix_pps)}"
    if told.prefix_pps is not None and told.shards > 1:
        ceiling += f", and {rounded(told.prefix_pps * told.shards)} for all {told.shards:,} shards together"
    typical = f"{rounded(told.prefix_pps_typical)} packets a second towards the fullest"
    table.add_row("load per prefix", f"{typical} of {told.prefixes:,} ({ceiling})")
    return table


def fill(text: str, values: Mapping[str, str | tuple[str, ...] | None]) -> str:
    """Put values into the template's lines; each keeps its comment."""
    settings = {("name" if option == "zone" else option): value for option, value in values.items() if value}
    for name, value in settings.items():
        told = json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)
        told = told.replace("\x7f", "\\u007f")  # TOML forbids it as such, JSON does not
        text = _set(text, name, f"{name} = {told}")
    if "prefixes" in settings:
        text = _set(text, "exclude", "exclude = []")
    if "known" in settings:
        for name in ("name", "authority"):
            text = re.sub(rf"^{name} = ", f"# {name} = ", text, flags=re.MULTILINE)
    return text


def _set(text: str, name: str, line: str) -> str:
    """Replace the setting `name`, commented out or not, up to its own comment."""
    return re.sub(rf'^(?:# )?{name} = (?:\[.*?\]|"[^"]*")', lambda _: line, text, count=1, flags=re.MULTILINE)
