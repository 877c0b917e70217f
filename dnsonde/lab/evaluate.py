"""How right the detectors are: labelled captures written, read, looked through, and held against what is true.

A finding is right when a label names its detector and its subject; a second one about the same is wrong, since one
event is one finding. Labels that need not be found, but may be, count for neither side.
"""

import json
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa

from dnsonde.clock import VirtualClock
from dnsonde.detect._compiled import compiled, drop
from dnsonde.detect._contract import SEVERITIES, Detector, findings
from dnsonde.detect._relations import augment, prefixes
from dnsonde.formats._reading import Reading
from dnsonde.lab.traffic import HOME, Capture, Label, load_traffic, record, scenario_names
from dnsonde.registry import entries
from dnsonde.table.schema import FLOW, MESSAGE

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
    """Runs detectors over one capture after another, by the very queries that `dnsonde detect` runs."""

    def __init__(self, detectors: Mapping[str, Detector]) -> None:
        self._backend = ibis.duckdb.connect()
        self._backend.con.execute("SET threads = 1")  # captures are small
        tables = {
            name: self._backend.create_table(name, schema.empty_table()) for name, schema in TABLES.items()
        }
        for name, table in augment(tables, prefixes(HOME)).items():
            self._backend.create_view(f"seen_{name}", table)
        self._detectors = detectors
        self._queries = {name: compiled(one) for name, one in detectors.items()}

    def look(self, path: Path) -> list[dict[str, Any]]:
        """The findings in a capture."""
        parts: dict[str, list[pa.RecordBatch]] = {name: [] for name in TABLES}
        for name, batch in Reading(path):
            parts[name].append(batch)
        for name, schema in TABLES.items():
            self._backend.con.register("fresh", pa.Table.from_batches(parts[name], schema))
            for statement in REFILL[name]:
                self._backend.con.execute(statement)
            self._backend.con.unregister("fresh")
        found: list[dict[str, Any]] = []
        left = dict(self._queries)
        for name, one in self._detectors.items():
            query = left.pop(name)
            found += findings(one, query.run(self._backend)).to_pylist()
            drop(self._backend, query, left.values())
        return found


def evaluate(names: Sequence[str] = (), told: Told | None = None) -> Evaluation:
    """Record the scenarios (all that come with the package, where none is named) and judge every detector by them."""
    detectors = entries("dnsonde.detect", Detector)
    result = Evaluation(scores={name: Score() for name in detectors})
    chosen = names or scenario_names()
    looker = Looker(detectors)
    with tempfile.TemporaryDirectory(prefix="dnsonde-") as folder:
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
