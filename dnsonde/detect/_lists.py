"""Long lists as relations: what an operator hands in stands in a query as one text, and becomes rows where it runs.

An engine looks a million rows up as fast as ten. A million literals it would have to plan, which takes minutes and
gigabytes.
"""

from collections.abc import Iterable, Mapping, Sequence

import ibis
import ibis.expr.types as ir

from dnsonde.detect._stages import stage

ROW, FIELD = "\x1e", "\x1f"  # what separates them


def listed(rows: Iterable[Sequence[str]], columns: Mapping[str, str]) -> ir.Table:
    """Rows of texts as a table; columns: name and type of each."""
    text = ROW.join(FIELD.join(_tidy(field) for field in row) for row in rows)
    split = ibis.literal(text).split(ROW).unnest().name("row").as_table()
    split = split.select(fields=split["row"].split(FIELD))
    return stage(
        split.select(
            **{name: split.fields[at].cast(kind) for at, (name, kind) in enumerate(columns.items())},
        )
    )


def ends(names: ir.Table, column: str) -> ir.Table:
    """Each name of a column with all that it ends with at a dot, itself among them, as `end`; a row each."""
    # Spark splits by a pattern, of which a dot is any character.
    each = names.select(name=names[column], labels=names[column].replace(".", FIELD).split(FIELD))
    each = each.mutate(at=ibis.range(each.labels.length()).unnest())
    return each.select("name", end=each.labels[each["at"] :].join("."))


def _tidy(field: str) -> str:
    return "".join(c if c.isprintable() else " " for c in field) if not field.isprintable() else field
