"""How right the detectors are: labelled captures written, read, looked through, and held against what is true.

A finding is right when a label names its detector and its subject; a second one about the same is wrong, since one
event is one finding. Labels that need not be found, but may be, count for neither side.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from dnsonde.choices import SEVERITIES
from dnsonde.clock import VirtualClock
from dnsonde.findings.about import detector_names
from dnsonde.findings.compiled import query_of
from dnsonde.findings.engines import OnDuckDB
from dnsonde.formats._reading import Reading
from dnsonde.lab.traffic import HOME, Capture, Label, load_traffic, record, scenario_names
from dnsonde.scratch import scratch
from dnsonde.table import store
from dnsonde.table.finding import findings
from dnsonde.table.prefix import prefixes
from dnsonde.table.schema import FLOW, MESSAGE
from dnsonde.table.sides import Seen

TABLES = {table.name: table.schema for table in (MESSAGE, FLOW)}
REFILL = {
    "message": ("DELETE FROM message", "INSERT INTO message BY NAME SELECT * FROM fresh"),
    "flow": ("DELETE FROM flow", "INSERT INTO flow BY NAME SELECT * FROM fresh"),
}
ALARMING = SEVERITIES.index("medium")

Told = Callable[[str, int, int], None]
"""(scenario, how many are done, of how many)."""


@dataclass(slots=True)
class Score:
    """How right one detector is, or all of them.

    named, of: where the truth also says what the finding's evidence should be, how often it was that.
    """

    right: int = 0
    wrong: int = 0
    missed: int = 0
    named: int = 0
    of: int = 0

    @property
    def precision(self) -> float:
        """Share of findings that are right; 1 where there is none."""
        return self.right / (self.right + self.wrong) if self.right + self.wrong else 1.0

    @property
    def recall(self) -> float:
        """Share of what is true that was found; 1 where there is nothing to find."""
        return self.right / (self.right + self.missed) if self.right + self.missed else 1.0

    @property
    def f1(self) -> float:
        """Harmonic mean of the two."""
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0

    def add(self, other: "Score") -> None:
        """Count another's as well."""
        self.right += other.right
        self.wrong += other.wrong
        self.missed += other.missed
        self.named += other.named
        self.of += other.of


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that was not right. kind: missed, wrong (nothing of the kind is there), or misnamed (its evidence)."""

    scenario: str
    kind: str
    detector: str
    subject: str
    detail: str


@dataclass(slots=True)
class Evaluation:
    """Scores by detector, faults, and how much was looked through.

    alarms: findings of medium severity or more in captures where nothing is to be found.
    """

    scores: dict[str, Score] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    alarms: list[Fault] = field(default_factory=list)
    scenarios: int = 0
    packets: int = 0

    @property
    def total(self) -> Score:
        """All detectors together."""
        whole = Score()
        for score in self.scores.values():
            whole.add(score)
        return whole


class Looker:
    """Runs every detector over one capture after another, by the very queries that `dnsonde detect` runs."""

    def __init__(self) -> None:
        self._connection = store.database(threads=1)  # captures are small
        for name, schema in TABLES.items():
            self._connection.register("fresh", schema.empty_table())
            self._connection.execute(f"CREATE TABLE {name} AS FROM fresh")
        self._wanted = [(name, ()) for name in detector_names()]

    def look(self, path: Path) -> list[dict[str, Any]]:
        """The findings in a capture."""
        parts: dict[str, list[pa.RecordBatch]] = {name: [] for name in TABLES}
        for name, batch in Reading(path):
            parts[name].append(batch)
        for name, schema in TABLES.items():
            self._connection.register("fresh", pa.Table.from_batches(parts[name], schema))
            for statement in REFILL[name]:
                self._connection.execute(statement)
            self._connection.unregister("fresh")
        found: list[dict[str, Any]] = []
        rows = OnDuckDB(self._connection).rows(Seen(prefixes(HOME)), self._wanted)
        for (name, settings), each in zip(self._wanted, rows, strict=True):
            found += findings(query_of(name, settings).wording, each).to_pylist()
        return found


def evaluate(names: Sequence[str] = (), told: Told | None = None) -> Evaluation:
    """Record the scenarios (all that come with the package, where none is named) and judge every detector by them."""
    result = Evaluation(scores={name: Score() for name in detector_names()})
    chosen = names or scenario_names()
    looker = Looker()
    with scratch() as folder:
        for number, name in enumerate(chosen):
            if told is not None:
                told(name, number, len(chosen))
            path = Path(folder) / "capture.pcap"
            capture = record(load_traffic(name), path, VirtualClock())
            judge(result, name, capture, looker.look(path))
    return result


def judge(result: Evaluation, scenario: str, capture: Capture, found: Iterable[Mapping[str, Any]]) -> None:
    """Hold the findings in one capture against its labels."""
    result.scenarios += 1
    result.packets += capture.packets
    truth = {(label.detector, label.subject): label for label in capture.labels}
    times: Counter[tuple[str, str]] = Counter()
    for finding in found:
        key = (finding["detector"], finding["subject"])
        times[key] += 1
        label = truth.get(key)
        score = result.scores.setdefault(key[0], Score())
        if (
            not any(one.expected for one in capture.labels)
            and SEVERITIES.index(finding["severity"]) >= ALARMING
        ):
            result.alarms.append(Fault(scenario, "wrong", *key, f"{finding['severity']}: {finding['title']}"))
        if label is None or times[key] > 1:
            score.wrong += 1
            why = finding["title"] if label is None else "told more than once"
            result.faults.append(Fault(scenario, "wrong", *key, why))
        elif label.expected:
            score.right += 1
            _name(result, score, scenario, label, finding)
    for key, label in truth.items():
        if label.expected and not times[key]:
            result.scores.setdefault(key[0], Score()).missed += 1
            result.faults.append(Fault(scenario, "missed", *key, ""))


def _name(result: Evaluation, score: Score, scenario: str, label: Label, finding: Mapping[str, Any]) -> None:
    if not label.evidence:
        return
    score.of += 1
    evidence = json.loads(finding["evidence"])
    other = {name: evidence.get(name) for name, value in label.evidence if evidence.get(name) != value}
    if not other:
        score.named += 1
        return
    detail = ", ".join(
        f"{name} is {dict(label.evidence)[name]}, told {value}" for name, value in other.items()
    )
    result.faults.append(Fault(scenario, "misnamed", label.detector, label.subject, detail))
