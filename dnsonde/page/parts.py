"""The whole report: of a run, of a lake, or of both side by side."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version

from dnsonde.intel.remedies import Measure, remedies
from dnsonde.lang.words import Words
from dnsonde.page import both, lake, run
from dnsonde.page.content import Block, Code, Fold, Page, Para, Section, Table
from dnsonde.page.lake import Watching
from dnsonde.page.measurement import measurement
from dnsonde.page.run import Measurement, present
from dnsonde.report import summarise
from dnsonde.view.view import View


@dataclass(frozen=True)
class Part:
    """One thing to report about, and what only its folder tells."""

    view: View
    told: Measurement | Watching


def page(parts: Sequence[Part], words: Words) -> Page:
    """The report about a run, a lake, or one of each."""
    runs = [(p.view, p.told) for p in parts if isinstance(p.told, Measurement)]
    lakes = [(p.view, p.told) for p in parts if isinstance(p.told, Watching)]
    sections: list[Section] = []
    if runs and lakes:
        sections += both.sections(runs[0][0], lakes[0][0], words)
    for view, told in runs:
        sections += run.sections(view, told, words)
    for view, seen in lakes:
        sections += lake.sections(view, seen, words)
    sections += _advice([v for v, _t in runs], [v for v, _t in lakes], words)
    how: list[Block] = []
    for view, told in runs:
        how += run.how(view, told, words)
    if how:
        sections.append(Section("how", words("how.title"), tuple(how)))
    for view, _seen in lakes:
        sections.append(Section("read", words("how.read"), tuple(lake.read(view, words))))
    sections += _definitions([v for v, _t in runs], [v for v, _t in lakes], words)
    title = "page.title_both" if runs and lakes else "page.title_run" if runs else "page.title_lake"
    names = " · ".join(part.told.name for part in parts)
    labels = {key: words(f"page.{key}") for key in ("contents", "table", "source", "made")}
    return Page(
        words.code,
        words(title),
        words("page.subtitle", what=names, version=version("dnsonde")),
        tuple(sections),
        labels,
    )


def alone(view: View, words: Words) -> Page:
    """The report about one view, by itself and the folder that it was opened from."""
    told: Measurement | Watching
    if view.kind == "lake":
        told = Watching(str(view.folder or "lake"), tuple(map(str, view.home)))
    elif view.folder is not None:
        told = measurement(view.folder)
    else:
        told = Measurement("run", delegated=True, finished=True)
    return page([Part(view, told)], words)


def _advice(runs: Sequence[View], lakes: Sequence[View], words: Words) -> Iterator[Section]:
    """What to do about what is there: each measure once, with whom it concerns."""
    hosts: Counter[str] = Counter()
    of_open: Counter[str] = Counter()
    for view in runs:
        for count in summarise(view.tables["verdict"], worst=0).counts:
            hosts[count.name] += count.hosts
            of_open[count.name] += count.open
    detectors = Counter(i.detector for view in lakes for i in view.incidents())
    blocks: list[Block] = []
    for measure in remedies().measure:
        counts = of_open if measure.only_open else hosts
        concerns = [
            words("do.hosts", name=words.named("class", name), n=counts[name])
            for name in measure.classes
            if counts[name]
        ]
        concerns += [
            words("do.cases", name=words.named("detector", name), n=detectors[name])
            for name in measure.detectors
            if detectors[name]
        ]
        if concerns:
            blocks.append(advice(measure, concerns, words))
    if blocks:
        yield Section("do", words("do.title"), (Para(words("do.lead")), *blocks))


def advice(measure: Measure, concerns: Sequence[str], words: Words) -> Fold:
    """One thing to do, in the configuration of every software; `concerns` is named as what it is about."""
    codes = []
    for remedy in measure.remedy:
        software = remedies().title(remedy.software)
        codes.append(Code(f"{software.title} · {software.place}", remedy.config.strip(), remedy.source))
    return Fold(
        words(f"measure.{measure.name}.title"),
        (
            Para(words(f"measure.{measure.name}.why")),
            Para(words("do.concerns", what="; ".join(concerns)), "note"),
            *codes,
            Para(f"{words('page.source')}: {measure.source}", "note"),
        ),
        f"do-{measure.name}",
    )


def _definitions(runs: Sequence[View], lakes: Sequence[View], words: Words) -> Iterator[Section]:
    blocks: list[Block] = []
    for view in runs:
        names = present(summarise(view.tables["verdict"], worst=0))
        if names:
            blocks += [Para(words(f"definitions.{key}")) for key in ("open", "amplification", "egress")]
            rows = tuple((words.named("class", n), words.named("meaning", n)) for n in names)
            head = (words("head.class"), words("head.means"))
            blocks.append(Table(words("definitions.caption"), head, "ll", rows))
    for view in lakes:
        kinds = sorted({i.detector for i in view.incidents()})
        if kinds:
            blocks += [Para(words(f"definitions.{key}")) for key in ("severity", "confidence")]
            rows = tuple((words.named("detector", k), words.named("threat", k)) for k in kinds)
            head = (words("head.detector"), words("head.means"))
            blocks.append(Table(words("definitions.threats"), head, "ll", rows))
    if blocks:
        yield Section("words", words("definitions.title"), tuple(blocks))
