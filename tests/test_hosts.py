"""Pages of hosts: in every order, forwards and backwards, they tell each host once, as sorting them all would."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from dnsonde.errors import UsageError
from dnsonde.hosts import SORTS, Wanted, count, page
from dnsonde.table import store
from dnsonde.table.rows import Relation, records
from dnsonde.table.schema import VERDICT
from dnsonde.wire.batch import address_pair, address_text

HOSTS = 47
SIZE = 20


@pytest.fixture(scope="module")
def verdict(tmp_path_factory: pytest.TempPathFactory) -> Relation:
    """Hosts with values that repeat, that are missing, and at both ends of what a column holds; both families."""
    folder = tmp_path_factory.mktemp("hosts")
    random = np.random.default_rng(7)
    texts = [f"192.0.2.{n}" if n % 3 else f"2001:db8:{n:x}::{n:x}" for n in range(HOSTS - 2)]
    pairs = [address_pair(a) for a in (*texts, "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")]
    pairs = [pairs[n] for n in random.permutation(HOSTS)]
    net, host = (np.array([p[half] for p in pairs]) for half in (0, 1))
    some = random.random(HOSTS) < 0.6
    kinds = random.choice(["refused", "silent", "recursive_resolver"], HOSTS)
    with store.Writer(VERDICT, folder, rows_per_part=20) as writer:
        for start in range(0, HOSTS, 20):
            here = slice(start, start + 20)
            writer.append({
                "target_net": net[here], "target_host": host[here], "class": kinds[here].tolist(), "confidence": 1.0,
                "open": (kinds == "recursive_resolver")[here],
                "egress_net": (net[::-1][here], some[here]), "egress_host": (host[::-1][here], some[here]),
                "egress_count": 0, "responder_net": (net[here], some[::-1][here]),
                "responder_host": (host[here], some[::-1][here]), "attempts": 1, "replies": 0, "sightings": 0,
                "query_bytes": 60, "amplification": (random.integers(0, 4, HOSTS)[here] / 2, some[here]),
                "rtt_us": (random.integers(0, 5, HOSTS)[here], some[here]),
                "why": random.choice(["Was it = \u00e4?", "it was not", ""], HOSTS)[here].tolist(),
            })  # fmt: skip
    return store.open_folder(folder)["verdict"]


def told(verdict: Relation) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = records(verdict)
    return rows


def sorted_by(rows: list[dict[str, Any]], sort: str, *, descending: bool) -> list[str]:
    """The addresses in that order; what is not known comes last, and ties go by address, up."""
    columns = SORTS[sort].columns or ("target_net", "target_host")
    rows = sorted(rows, key=lambda r: (r["target_net"], r["target_host"]))
    known = [r for r in rows if r[columns[0]] is not None]
    known.sort(
        key=lambda r: tuple(r[c] for c in columns), reverse=descending
    )  # a stable sort, reversed or not
    known += [r for r in rows if r[columns[0]] is None]
    return [address_text(r["target_net"], r["target_host"]) for r in known]


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("sort", SORTS)
def test_pages_are_the_whole_in_order(verdict: Relation, sort: str, descending: bool) -> None:
    wanted = Wanted(show="all", sort=sort, descending=descending, size=SIZE)
    whole = sorted_by(told(verdict), sort, descending=descending)
    forwards = here = page(verdict, wanted)
    seen = [row["target"] for row in forwards.rows]
    while here.after:
        place = len(seen)
        here = page(verdict, replace(wanted, after=here.after), found=HOSTS)
        assert (here.first, here.found) == (place + 1, HOSTS)
        seen += [row["target"] for row in here.rows]
    assert seen == whole
    last = page(verdict, replace(wanted, last=True))
    assert [row["target"] for row in last.rows] == whole[-(HOSTS % SIZE) :]
    back = [row["target"] for row in last.rows]
    here = last
    while here.before:
        here = page(verdict, replace(wanted, before=here.before), found=HOSTS)
        back = [row["target"] for row in here.rows] + back
    assert back == whole
    assert here.first == 1


def test_text_is_an_address_in_any_role_or_words_of_the_reason(verdict: Relation) -> None:
    rows = told(verdict)
    address = next(r for r in rows if r["egress_host"] is not None)
    text = address_text(address["egress_net"], address["egress_host"])
    found = page(verdict, Wanted(show="all", text=text, size=HOSTS)).rows
    assert address_text(address["target_net"], address["target_host"]) in {r["target"] for r in found}
    assert all(text in {r["target"], r["egress"], r["responder"]} for r in found)
    expected = sum(
        any(
            (r[f"{role}_net"], r[f"{role}_host"]) == address_pair(text)
            for role in ("target", "egress", "responder")
        )
        for r in rows
    )
    assert len(found) == expected
    words = Wanted(show="all", text="WAS IT = \u00c4")
    assert count(verdict, words) == sum("\u00e4" in r["why"] for r in rows) > 0
    for odd in ("a\0", "'); DROP TABLE verdict; --", "%", "\\"):
        assert count(verdict, Wanted(show="all", text=odd)) == 0


def test_a_page_may_begin_at_any_address(verdict: Relation) -> None:
    lowest = "2001:db8::8000:0:0:0"  # whose lower half is the least of 64 bits
    mark = json.dumps([*address_pair(lowest), 0])
    page(verdict, Wanted(show="all", after=mark))
    with pytest.raises(UsageError, match="no place in this table"):
        page(verdict, Wanted(show="all", after=mark.replace(str(-(1 << 63)), str(1 << 63))))


def test_half_a_character_is_no_place(verdict: Relation) -> None:
    for sort in ("why", "class"):
        page(verdict, Wanted(sort=sort, after=r'["\ud83d\ude00",1,1,1]'))
        with pytest.raises(UsageError, match="no place in this table"):
            page(verdict, Wanted(sort=sort, after=r'["\ud800",1,1,1]'))


def test_silent_ones_are_left_out_until_they_are_asked_for(verdict: Relation) -> None:
    silent = sum(r["class"] == "silent" for r in told(verdict))
    assert count(verdict, Wanted()) == HOSTS - silent
    assert count(verdict, Wanted(classes=("silent",))) == silent
    assert count(verdict, Wanted(show="open")) == sum(r["open"] for r in told(verdict))


def test_order_that_is_none_is_refused(verdict: Relation) -> None:
    with pytest.raises(UsageError, match="cannot be sorted by 'colour'"):
        page(verdict, Wanted(sort="colour"))
