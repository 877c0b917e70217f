"""A lake keeps what was found in it: what was computed is read again while nothing has changed, and only then."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dnsonde import watch
from dnsonde.clock import VirtualClock
from dnsonde.errors import UsageError
from dnsonde.findings import compiled, known, to_sql
from dnsonde.findings.allow import Allowed
from dnsonde.findings.engines import opened
from dnsonde.findings.home import Guess
from dnsonde.table import kept, store
from dnsonde.table.lake import Lake
from dnsonde.table.prefix import prefixes
from dnsonde.table.schema import FINDING
from tests.detect import rows

START_US = 1_700_000_000_000_000
HOME = prefixes(["192.0.2.0/24"])
Look = Callable[..., watch.Found]


def taken(folder: Path, file: str, *flows: dict[str, object]) -> None:
    """A file's flows, in the lake."""
    with Lake(folder, create=True).take(file) as intake:
        assert intake is not None
        for batch in rows._flows(list(flows)).to_batches():
            intake.append("flow", batch)
        counts = dict.fromkeys(("bytes", "packets", "parsed", "ignored", "malformed", "messages"), 0)
        intake.commit(counts | {"file": file, "path": file, "format": "pcap", "reasons": "{}"})


def scan(source: str) -> list[dict[str, object]]:
    """What `mirai_scan` tells."""
    return [
        rows.flow(source, f"198.51.{n}.1", dst_port=23, protocol=6, syn=1, mirai_syn=1, packets=1)
        for n in range(3)
    ]


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    folder = tmp_path / "lake"
    taken(folder, "aa" * 16, *scan("192.0.2.66"))
    return folder


@pytest.fixture
def look(lake: Path, monkeypatch: pytest.MonkeyPatch) -> Look:
    """Look into the lake, with one detector only, that this be quick."""
    monkeypatch.setattr(watch, "detector_names", lambda: ("mirai_scan",))
    clock = VirtualClock(START_US)

    def looked(*home: str, fresh: bool = False, **more: object) -> watch.Found:
        clock.sleep_us(1_000_000)
        asked = watch.Asked(home=prefixes(home), **more)  # type: ignore[arg-type]
        return watch.detect([str(lake)], asked, clock, lambda _: None, fresh=fresh)

    return looked


def test_asked_again_it_is_read_and_says_so(lake: Path, look: Look) -> None:
    first, second = look("192.0.2.0/24"), look("192.0.2.0/24")
    assert first.findings.num_rows == 1
    assert (first.kept, second.kept) == (False, True)
    assert second.looked_us == first.looked_us == START_US + 1_000_000
    assert second.findings.equals(first.findings)
    assert second.home == first.home == HOME
    assert second.taken == first.taken
    assert (second.blind, second.guessed, second.remembered) == ((), None, False)
    assert watch.kept(lake, HOME) == second


def test_fresh_looks_again(look: Look) -> None:
    look("192.0.2.0/24")
    again = look("192.0.2.0/24", fresh=True)
    assert (again.kept, again.looked_us) == (False, START_US + 2_000_000)
    assert look("192.0.2.0/24").looked_us == again.looked_us


def test_a_new_file_makes_it_look_again(lake: Path, look: Look) -> None:
    look("192.0.2.0/24")
    taken(lake, "bb" * 16, *scan("192.0.2.67"))
    assert watch.kept(lake) is None
    again = look("192.0.2.0/24")
    assert not again.kept
    assert again.findings.num_rows == 2
    assert look("192.0.2.0/24").kept


def test_a_file_that_comes_while_it_looks_is_not_taken_for_looked_into(
    lake: Path, look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def busy(*asked: Any, **more: Any) -> Iterator[Any]:
        with opened(*asked, **more) as looker:  # what is looked into is chosen by now
            taken(lake, "bb" * 16, *scan("192.0.2.67"))
            yield looker

    with monkeypatch.context() as patch:
        patch.setattr(watch, "opened", busy)
        assert look().findings.num_rows == 1
    again = look()
    assert not again.kept
    assert again.findings.num_rows == 2


def test_a_day_that_was_deleted_makes_it_look_again(lake: Path, look: Look) -> None:
    look("192.0.2.0/24")
    for part in (lake / "flow").rglob("*.parquet"):
        part.unlink()
    assert look("192.0.2.0/24").findings.num_rows == 0


def test_other_detectors_make_it_look_again(lake: Path, look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    look("192.0.2.0/24")
    monkeypatch.setattr(known, "code", lambda: "another")
    assert watch.kept(lake) is None
    assert not look("192.0.2.0/24").kept


def test_another_home_makes_it_look_again(look: Look) -> None:
    assert not look("192.0.2.0/24").kept
    assert not look("198.51.0.0/16").kept
    assert not look("192.0.2.0/24").kept


def test_a_home_that_was_given_is_remembered(lake: Path, look: Look) -> None:
    look("192.0.2.0/24")
    later = look()
    assert (later.kept, later.remembered, later.home, later.guessed) == (True, True, HOME, None)
    taken(lake, "bb" * 16, *scan("192.0.2.67"))
    later = look()
    assert (later.kept, later.remembered, later.home, later.guessed) == (False, True, HOME, None)


def test_a_home_that_was_guessed_is_kept_with_its_reason_but_guessed_anew(lake: Path, look: Look) -> None:
    first, second = look(), look()
    assert first.guessed is not None
    assert (second.kept, second.remembered, second.home) == (True, False, HOME)
    assert second.guessed == first.guessed
    named = watch.kept(lake, HOME)  # the same home, now named: the same findings, and nothing is guessed
    assert named is not None
    assert named.guessed is None
    taken(lake, "bb" * 16, *scan("192.0.2.67"))
    assert look().guessed is not None


@pytest.mark.parametrize(
    "more",
    [
        {"since_us": 1},
        {"until_us": 1},
        {"detectors": ("mirai_scan",)},
        {"settings": {"mirai_scan": {"syns_min": 2}}},
        {"allowed": Allowed(domains=("example.net",))},
    ],
    ids=lambda more: next(iter(more)),
)
def test_a_question_that_is_not_plain_is_answered_and_not_kept(
    lake: Path, look: Look, more: dict[str, object]
) -> None:
    look("192.0.2.0/24", **more)
    assert watch.kept(lake) is None
    look("192.0.2.0/24")
    assert not look("192.0.2.0/24", **more).kept
    assert look("192.0.2.0/24").findings.num_rows == 1


def test_where_nothing_may_be_written_it_is_computed(lake: Path, look: Look) -> None:
    (lake / "finding").touch()  # a file in the way stops root, too
    for _ in range(2):
        found = look("192.0.2.0/24")
        assert (found.kept, found.findings.num_rows) == (False, 1)
    assert watch.kept(lake) is None


@pytest.mark.parametrize("octets", [b"", b"PAR1nothing of the kindPAR1"])
def test_what_is_damaged_is_computed_again(lake: Path, look: Look, octets: bytes) -> None:
    look("192.0.2.0/24")
    (part,) = (lake / "finding").iterdir()
    part.write_bytes(octets)
    assert watch.kept(lake) is None
    assert look("192.0.2.0/24").findings.num_rows == 1
    assert look("192.0.2.0/24").kept


def test_facts_that_are_none_are_computed_again(lake: Path, look: Look) -> None:
    found = look("192.0.2.0/24")
    for said in ("nonsense", "[]", "{}", '{"home": ["no prefix"], "guessed": null, "blind": []}'):
        store.replace(FINDING, lake, [found.findings], {known.LOOK: said})
        assert watch.kept(lake) is None
    store.replace(FINDING, lake, [found.findings])
    assert not look("192.0.2.0/24").kept


def test_any_parquet_tool_reads_them(lake: Path, look: Look) -> None:
    found = look("192.0.2.0/24")
    (part,) = (lake / "finding").iterdir()
    assert pq.read_table(part).to_pylist() == found.findings.to_pylist()


def test_a_query_has_them_once_somebody_looked(lake: Path, look: Look) -> None:
    sql = "SELECT detector, subject FROM finding"
    with pytest.raises(UsageError, match="nobody has looked"):
        watch.query(lake, sql)
    look("192.0.2.0/24")
    told = watch.query(lake, sql).read_all().to_pylist()
    assert told == [{"detector": "mirai_scan", "subject": "192.0.2.66"}]
    taken(lake, "bb" * 16, *scan("192.0.2.67"))
    with pytest.raises(UsageError, match="as it is now"):
        watch.query(lake, sql)


def test_a_guess_comes_back_as_it_was(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    Lake(lake, create=True)
    home = (ip_network("192.0.2.0/24"), ip_network("2001:db8::/32"))
    guessed = Guess(home, 0.75, 12, private=True, other=ip_network("198.51.100.0/24"))
    look = known.Look(START_US, known.parts(lake), known.code(), home, guessed, ("flood",))
    known.keep(lake, look, FINDING.schema.empty_table())
    found = known.kept(lake)
    assert found is not None
    assert found[0] == look
    assert found[1].equals(pa.Table.from_pylist([], FINDING.schema))


def test_a_query_that_is_kept_in_another_shape_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "kept_folder", lambda: tmp_path / "queries")
    compiled.query_of.cache_clear()
    made = compiled.query_of("mirai_scan")
    (place,) = (tmp_path / "queries").iterdir()
    whole = json.loads(place.read_text())
    monkeypatch.setattr(to_sql, "to_sql", lambda *_: made)
    odd: list[object] = [
        None,
        5,
        "ab",
        [],
        {},
        *({**whole, name: None} for name in whole),
        {**whole, "steps": [[]]},
    ]
    odd += [{**whole, "steps": [{"table": "t"}]}, {**whole, "wording": {}}, {**whole, "sql": 5}]
    for shape in odd:
        place.write_text(json.dumps(shape))
        compiled.query_of.cache_clear()
        assert compiled.query_of("mirai_scan") == made
        assert json.loads(place.read_text()) == whole
    compiled.query_of.cache_clear()


def test_what_takes_long_the_first_time_is_said(
    lake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "kept_folder", lambda: tmp_path / "queries")
    asked = watch.Asked(home=HOME, detectors=("mirai_scan",))
    told: list[str] = []
    for _ in range(2):
        compiled.query_of.cache_clear()
        watch.detect([str(lake)], asked, VirtualClock(START_US), lambda p: told.append(f"{p.phase} {p.item}"))
    assert told == ["preparing mirai_scan", *["looking mirai_scan", "looking "] * 2]
