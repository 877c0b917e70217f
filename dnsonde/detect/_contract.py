"""What a detector is: a relation, the words around it, and one rule for how bad and how sure.

A detector is ONE file in this folder: a function whose positionals are the tables it reads and whose keyword-only
parameters carry `Annotated[type, "meaning"]` and a default; its docstring is what `dnsonde explain NAME` prints.
It returns `finding(...)` of an Ibis relation and never executes anything, so that it runs on DuckDB and on Spark.

**Severity**, for the operator of the home network, and it is the same scale for every detector:

- info: somebody looked, or a thing worth knowing; nothing to do
- low: somebody looked for a way in, or found out something; look when there is time
- medium: a weakness that others can use, or an attack that did not get through
- high: harm under way, to us or from us to others
- critical: harm under way at a scale that takes links or services down

**Confidence** is `1 - threshold / (2 * observed)`, at most 0.99: 0.5 at the threshold, 0.75 at twice it, 0.95 at ten
times. What rests on a marker that chance makes once in 2^32 has 0.99.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ibis
import ibis.expr.types as ir

from dnsonde.choices import SEVERITIES
from dnsonde.errors import UsageError
from dnsonde.settings import KINDS, Parameter, checked, parameters
from dnsonde.table.finding import SubjectKind, Wording

CERTAIN = 0.99
MOST = 10_000_000_000  # of what is set: as microseconds, and times the rows of a lake, 64 bits still hold it


@dataclass(frozen=True)
class Detector:
    """A relation with its wording (see `Wording`); calling it with tables and settings gives the relation."""

    relation: Callable[..., ir.Table]
    threat: str
    subject_kind: SubjectKind
    title: str
    summary: str
    references: tuple[str, ...]

    @property
    def name(self) -> str:
        """The function's name, which is the file's."""
        return self.relation.__name__

    @property
    def wording(self) -> Wording:
        """What its findings say."""
        return Wording(
            self.name, self.threat, self.subject_kind, self.title, self.summary, tuple(self.references)
        )

    @property
    def tables(self) -> tuple[str, ...]:
        """Names of the tables that it reads, in order."""
        kinds = inspect.signature(self.relation).parameters.values()
        return tuple(p.name for p in kinds if p.kind is not p.KEYWORD_ONLY)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Its settings, as its signature has them."""
        return parameters(self.relation)

    @property
    def explanation(self) -> str:
        """The docstring: what it finds, why it matters, what looks like it and is not."""
        return inspect.getdoc(self.relation) or ""

    def __call__(self, tables: Mapping[str, ir.Table], **settings: Any) -> ir.Table:
        """Build the relation; unknown settings and values of another type raise UsageError."""
        return self.relation(*(tables[name] for name in self.tables), **self.checked(settings))

    def checked(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Settings by name, texts turned into the parameter's type; numbers are such as a threshold can be."""
        found = checked(self.name, self.parameters, settings)
        for parameter in self.parameters:
            if parameter.name in found and parameter.type in {int, float}:
                # Of nothing at all nobody speaks, and windows of 0 s divide; a share of 0 leaves a condition out.
                least = 1 if parameter.type is int and parameter.default else 0
                if not least <= found[parameter.name] <= MOST:  # as NaN is not
                    raise UsageError(
                        f"{parameter.name} of {self.name} takes {KINDS[parameter.type]} from {least} to {MOST:,}, "
                        f"not {settings[parameter.name]!r}"
                    )
        return found


def detector(
    *, threat: str, subject_kind: SubjectKind, title: str, summary: str, references: Sequence[str]
) -> Callable[[Callable[..., ir.Table]], Detector]:
    """Make a detector of a function."""

    def wrap(relation: Callable[..., ir.Table]) -> Detector:
        return Detector(relation, threat, subject_kind, title, summary, tuple(references))

    return wrap


def confidence(observed: ir.NumericValue, threshold: float) -> ir.FloatingValue:
    """The rule of the module's first lines; `observed` is at or above `threshold`, which is above 0."""
    sure = 1.0 - threshold / (2.0 * observed.cast("float64"))
    return ibis.least(sure, ibis.literal(CERTAIN))


def severity(base: int, scale: ir.NumericValue, *steps: float) -> ir.IntegerValue:
    """`base`, and one more for every step that `scale` has reached; at most critical."""
    level = ibis.literal(base)
    for step in steps:
        level = level + (scale >= step).cast("int64")
    return ibis.least(level, ibis.literal(len(SEVERITIES) - 1)).cast("int64")


def finding(
    table: ir.Table,
    *,
    severity: ir.Value | int,
    confidence: ir.Value | float,
    first_seen: ir.Value,
    last_seen: ir.Value,
    count: ir.Value,
    domain: ir.Value | None = None,
    address: tuple[ir.Value, ir.Value] | None = None,
    bits: ir.Value | int | None = None,
    **evidence: ir.Value,
) -> ir.Table:
    """The relation that every detector returns: one row a finding.

    The subject is a `domain`, or an `address` (net, host), or with `bits` a prefix (counted in the address's own
    family). Evidence columns named `X_net` and `X_host` become the address X; null evidence is left out.
    """
    none = ibis.null("int64")
    net, host = address if address is not None else (none, none)
    width = none if bits is None else ibis.literal(bits) if isinstance(bits, int) else bits
    return table.select(
        subject=(ibis.null("string") if domain is None else domain).cast("string"),
        subject_net=net.cast("int64"),
        subject_host=host.cast("int64"),
        subject_bits=width.cast("int64"),
        severity=_value(severity).cast("int64"),
        confidence=_value(confidence).cast("float64"),
        first_seen=first_seen.cast("int64"),
        last_seen=last_seen.cast("int64"),
        count=count.cast("int64"),
        **evidence,
    )


def _value(value: ir.Value | float) -> ir.Value:
    return ibis.literal(value) if isinstance(value, int | float) else value
