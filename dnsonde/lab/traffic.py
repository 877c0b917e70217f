"""Labelled traffic: capture files made from scenarios, with what is true of them. Files only, never a network.

A scenario is a TOML file of `dnsonde/lab/captures`, or one by path: `[[event]]` tables, each with its `kind` and
what that kind takes. Threats say what a detector should tell of them; the rest is what networks do all day. The
same scenario makes the same octets: times come from the clock that is handed in, chance from `seed`.

Addresses are documentation and private ones (home: `HOME`), 198.18.0.0/15 for the far Internet, and class E for
forged sources. Only indicators of botnets are what they are.
"""

import inspect
import json
import tomllib
from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

import msgspec

from dnsonde.clock import Clock
from dnsonde.errors import LabError, UsageError
from dnsonde.lab import _traffic_benign as benign
from dnsonde.lab import _traffic_bots as bots
from dnsonde.lab import _traffic_floods as floods
from dnsonde.lab import _traffic_names as names
from dnsonde.lab import _traffic_tools as tools
from dnsonde.lab._traffic_tape import HOME, Label, Tape
from dnsonde.lab.scenario import read_text
from dnsonde.whole import whole

__all__ = [
    "EVENTS",
    "HOME",
    "Capture",
    "Label",
    "Traffic",
    "load_traffic",
    "record",
    "scenario_names",
    "write_truth",
]

Seconds = Annotated[float, msgspec.Meta(ge=0.0, le=86_400.0)]

EVENTS: Mapping[str, Callable[..., None]] = MappingProxyType(
    {
        event.__name__: event
        for event in (
            benign.antivirus, benign.backups, benign.calls, benign.devices_at_work, benign.dnssec,
            benign.domain_lists, benign.file_sharing, benign.flash_crowd, benign.games, benign.health_checks,
            benign.local_names, benign.mail_blocklists, benign.monitoring, benign.names_of_hosts, benign.neighbours,
            benign.ntp, benign.our_authority, benign.own_scanner, benign.probers_at_the_door, benign.resends,
            benign.resolver, benign.rotation, benign.search_suffix, benign.speed_test, benign.time_server,
            benign.typed_names, benign.web,
            names.injection, names.mx_questions, names.neighbours_forged, names.probing, names.random_answers,
            names.recursion, names.relays, names.sweep, names.tunnel, names.water_torture,
            floods.carpet, floods.flood, floods.reflection, floods.scattered_back,
            bots.command, bots.guessing, bots.mirai, bots.scan, bots.unanswered_name,
            tools.answers_alone, tools.crafted_flood, tools.errors_at_us, tools.few_names, tools.keepalives,
            tools.keys_and_proofs, tools.nmap, tools.out_of_reach, tools.plain_stack, tools.routing,
            tools.sampled, tools.shards, tools.short_answers,
        )
    }
)  # fmt: skip


class Traffic(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One capture to be made.

    span_s: how long it lasts; lan: taken on a segment at home, not at the border; background: kinds of event that
    go on all the time; event: tables with a `kind`, perhaps `start_s` and `lasts_s`, and what the kind takes.
    """

    title: str
    span_s: Seconds = 60.0
    seed: int = 1
    lan: bool = False
    background: tuple[str, ...] = ("web", "resolver", "ntp", "neighbours", "our_authority")
    event: tuple[dict[str, Any], ...] = ()


class Capture(msgspec.Struct, frozen=True):
    """What was written: how many packets, and what is true of them."""

    packets: int
    labels: tuple[Label, ...]


def scenario_names() -> list[str]:
    """Names of the captures that come with the package, sorted."""
    return sorted(p.name.removesuffix(".toml") for p in _folder().iterdir() if p.name.endswith(".toml"))


def load_traffic(name: str | Path) -> Traffic:
    """Read a scenario by name or path; raises UsageError for an unknown name, LabError for one that cannot be."""
    path = Path(name)
    if isinstance(name, str) and name in scenario_names():
        path = _folder() / f"{name}.toml"
    elif path.suffix != ".toml" or not path.is_file():
        known = ", ".join(scenario_names())
        raise UsageError(f"there is no traffic scenario {str(name)!r}; give a .toml file or one of: {known}")
    try:
        return msgspec.convert(tomllib.loads(read_text(path)), Traffic)
    except (ValueError, RecursionError) as error:
        raise LabError(f"traffic scenario {name}: {error}") from error


def record(traffic: Traffic, path: Path, clock: Clock) -> Capture:
    """Write the capture, which begins at the clock's time, to `path`.

    LabError for an event that cannot be, SystemRefusal when the disk does not let it.
    """
    whole = Tape("", clock, lan=traffic.lan)
    everything = [{"kind": kind} for kind in traffic.background] + list(traffic.event)
    for number, event in enumerate(everything):
        # Chance of its own for each, so that one event more does not change the others.
        tape = Tape(f"{traffic.seed}:{number}:{event.get('kind')}", clock, lan=traffic.lan)
        _play(tape, event, traffic.span_s)
        whole.add(tape)
    whole.write(path)
    return Capture(len(whole), tuple(whole.labels))


def write_truth(capture: Capture, path: Path) -> None:
    """Write what is true of a capture as JSON lines; SystemRefusal when the disk does not let it."""
    lines = [
        json.dumps({
            "detector": label.detector, "subject": label.subject, "expected": label.expected,
            "evidence": dict(label.evidence),
        })
        for label in capture.labels
    ]  # fmt: skip
    with whole(path) as file:
        file.write("".join(f"{line}\n" for line in lines).encode())


def _play(tape: Tape, event: Mapping[str, Any], span_s: float) -> None:
    settings = dict(event)
    kind = settings.pop("kind", None)
    if kind not in EVENTS:
        raise LabError(f"there is no kind of event {kind!r}; there are {', '.join(sorted(EVENTS))}")
    start_s = settings.setdefault("start_s", 0.0)
    settings.setdefault("lasts_s", max(0.1, span_s - start_s))
    taken = inspect.signature(EVENTS[kind]).parameters
    unknown = sorted(set(settings) - set(taken))
    missing = sorted(
        name for name, p in taken.items() if p.default is p.empty and name not in settings and name != "tape"
    )
    if unknown or missing:
        wrong = f"takes no {unknown[0]!r}" if unknown else f"needs {missing[0]!r}"
        raise LabError(f"event {kind} {wrong}; it takes {', '.join(list(taken)[1:])}")
    try:
        EVENTS[kind](tape, **settings)
    except (ValueError, KeyError, TypeError) as error:
        raise LabError(f"event {kind}: {error!r} with {settings}") from error


def _folder() -> Path:
    return Path(str(files("dnsonde.lab") / "captures"))
