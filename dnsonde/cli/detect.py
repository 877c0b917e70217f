"""`dnsonde detect`: what happened in some traffic."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dnsonde.choices import SEVERITIES
from dnsonde.cli import _look, _options, _progress
from dnsonde.clock import EPOCH
from dnsonde.table.engine import ENGINES

if TYPE_CHECKING:
    from dnsonde.clock import Clock

FORMATS = ("table", "jsonl", "json", "csv", "parquet")
LIMIT = 50
AGO = re.compile(r"[0-9]{1,9}[smhdw]")
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


@click.command()
@click.argument("paths", metavar="FILES...|LAKE", nargs=-1, required=True)
@_options.home
@click.option(
    "--detector", "names", multiple=True, metavar="NAME", help="Only this detector; may be repeated."
)
@click.option(
    "--set", "settings", multiple=True, metavar="NAME.PARAM=VALUE", help="Set a detector's parameter."
)
@click.option(
    "--allow", type=click.Path(path_type=Path), help="File of addresses, prefixes and domains to leave out."
)
@click.option(
    "--intel",
    "intel",
    multiple=True,
    type=click.Path(path_type=Path),
    help="File of indicators to add (TOML, CSV, STIX or MISP JSON); may be repeated.",
)
@click.option("--since", metavar="TIME", help="From then on: RFC 3339, or how long ago, like 90m, 6h, 7d.")
@click.option("--until", metavar="TIME", help="Before then; likewise.")
@click.option(
    "--border", "borders", multiple=True, metavar="MAC", help="Link-layer address of a border router."
)
@_options.port
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    default="table",
    show_default=True,
    help="How to print it.",
)
@_options.output
@click.option(
    "--limit", type=click.IntRange(min=0), help=f"Findings of a table, 0 for all.  [default: {LIMIT}]"
)
@click.option(
    "--fail-on",
    type=click.Choice(SEVERITIES),
    help="End with exit code 1 when something is as bad, or worse.",
)
@click.option(
    "--engine",
    type=click.Choice(ENGINES),
    default="duckdb",
    show_default=True,
    help="Who looks: spark (an extra) is for a lake too big for one machine.",
)
@click.option("--new", is_flag=True, help="Of a lake, only what --new has not told before, or has grown.")
@_look.fresh
@_progress.option
def detect(
    paths: tuple[str, ...],
    homes: tuple[str, ...],
    names: tuple[str, ...],
    settings: tuple[str, ...],
    allow: Path | None,
    intel: tuple[Path, ...],
    since: str | None,
    until: str | None,
    borders: tuple[str, ...],
    ports: tuple[int, ...],
    form: str,
    output: Path | None,
    limit: int | None,
    fail_on: str | None,
    engine: str,
    mode: str,
    *,
    new: bool,
    fresh: bool,
) -> int:
    """Find the threats in captures, logs and flows, or in a lake.

    Files may be compressed, folders are read with all below them, and `-` is standard input. Findings are listed worst
    first, then what was read: every packet is parsed, ignored or malformed, and none vanishes. A lake keeps its
    findings: while no file was added, asking again reads them.

    `dnsonde formats` lists what can be read, `dnsonde detectors` what is looked for, `dnsonde explain NAME` how.
    """
    from dnsonde import take, watch
    from dnsonde.cli import _findings, _news
    from dnsonde.clock import SystemClock
    from dnsonde.compile import READING, compile_once
    from dnsonde.findings.allow import Allowed, load_allowed
    from dnsonde.table.lake import is_lake
    from dnsonde.table.prefix import prefixes

    _options.require_file(form, output)
    _options.require_other(output, *paths, *([allow] if allow else []), *intel)
    lake = Path(paths[0]) if len(paths) == 1 and is_lake(Path(paths[0])) else None
    if new and lake is None:
        raise click.UsageError(
            "--new asks what was told before, which only a lake knows: `dnsonde ingest FILES... -o LAKE` makes one."
        )
    most = LIMIT if limit is None else limit
    clock = SystemClock()
    asked = watch.Asked(
        home=prefixes(homes),
        detectors=names,
        settings=_settings(settings, borders, intel, clock),
        allowed=load_allowed(allow) if allow else Allowed(),
        since_us=_time(since, clock),
        until_us=_time(until, clock),
    )
    if asked.since_us is not None and asked.until_us is not None and asked.since_us >= asked.until_us:
        raise click.UsageError(f"--since {since} is not before --until {until}: nothing lies between them.")
    with _progress.watch(mode, _progress.reading) as watcher:
        compile_once(watcher.say, READING if lake is None else (), watch.to_prepare(asked))
        found = watch.detect(
            paths, asked, clock, watcher.tell, engine, fresh=fresh, options=take.on_ports(ports)
        )
    if new and lake:
        return _news.tell(found, form, output, most, lake, clock, fail_on)
    return _findings.tell(found, form, output, most, lake, fail_on=fail_on)


def _settings(
    texts: tuple[str, ...], borders: tuple[str, ...], intel: tuple[Path, ...], clock: "Clock"
) -> dict[str, dict[str, str]]:
    """Settings by detector and parameter."""
    found: dict[str, dict[str, str]] = {}
    if borders:
        found["adjacent_spoofing"] = {"border": ",".join(borders)}
    if intel:
        found["botnet_c2"] = {"intel": "\n".join(str(path) for path in intel)}
    for text in texts:
        key, equals, value = text.partition("=")
        name, dot, parameter = key.partition(".")
        if not (equals and dot and name and parameter):
            raise click.UsageError(f"--set takes NAME.PARAM=VALUE, not {text!r}.")
        found.setdefault(name, {})[parameter] = value
    if "intel" in found.get("botnet_c2", {}):
        found["botnet_c2"].setdefault("valid_at_s", str(clock.now_us() // 1_000_000))
    return found


def _time(text: str | None, clock: "Clock") -> int | None:
    """A time in microseconds since 1970 UTC: RFC 3339, or so long ago."""
    if text is None:
        return None
    if AGO.fullmatch(text):
        return max(clock.now_us() - int(text[:-1]) * UNITS[text[-1]] * 1_000_000, 0)
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise click.UsageError(
            f"{text[:40]!r} is no time: write it like 2026-11-22T10:00:00Z, or how long ago, like 90m, 6h, 7d."
        ) from None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return (when - EPOCH) // timedelta(microseconds=1)
