"""What is open stays good while the lake under it changes."""

from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any, cast

import duckdb
import pytest

from dnsonde.clock import SystemClock, VirtualClock
from dnsonde.table.merge import MANY_ALIKE, Merging
from dnsonde.web import _site
from dnsonde.web._site import Site, in_time, new_token
from tests.table.test_merge import filled, number_of


def test_a_lake_whose_parts_were_merged_after_it_was_opened_is_asked_all_the_same(tmp_path: Path) -> None:
    lake = filled(tmp_path / "lake")
    site = Site(tmp_path, SystemClock(), token=new_token())
    opened = site.open(site.entry("lake"))
    with site.asking(opened) as view:
        assert len(view.tables["message"]) == 3 * MANY_ALIKE
        with Merging(lake, VirtualClock()):
            pass
        assert number_of(lake.folder) > 4, "while it is asked, its parts stay"
        assert len(view.tables["message"]) == 3 * MANY_ALIKE
    with Merging(lake, VirtualClock()):
        pass
    assert number_of(lake.folder) == 4, "and no longer"
    with site.asking(opened) as view:
        assert len(view.tables["message"]) == 3 * MANY_ALIKE


def test_a_query_that_begins_when_the_time_is_over_is_given_up_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_site, "QUERY_S", 0.01)
    told = Event()

    def interrupt() -> None:
        connection.interrupt()
        told.set()

    with duckdb.connect() as connection, in_time(cast("Any", SimpleNamespace(interrupt=interrupt))):
        assert told.wait(10), "the word to stop fell before there was a query"
        with pytest.raises(duckdb.InterruptException):
            connection.execute(
                "SELECT count(*) FROM range(100000) a, range(30000) b WHERE a.range * b.range % 7 = 3"
            )
