"""Lakes and runs of an older version are brought to this one, whole, or a sentence says why not."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dnsonde.errors import RunError
from dnsonde.table import lake as lakes
from dnsonde.table import migrate as migrating
from dnsonde.table import schema, store, versions
from dnsonde.table.lake import Lake
from dnsonde.table.migrate import migrate
from dnsonde.table.schema import ACCOUNT, FLOW, Column
from tests.detect import rows

COUNTS = dict.fromkeys(("bytes", "packets", "parsed", "ignored", "malformed", "messages"), 0)


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """A lake as this version writes it, of two files."""
    folder = tmp_path / "lake"
    for number in range(2):
        file = f"{number:032x}"
        with Lake(folder, create=True).take(file) as intake:
            assert intake is not None
            flows = [rows.flow("192.0.2.1", f"198.51.100.{n}", time_s=n) for n in range(5)]
            intake.append("flow", rows._flows(flows).combine_chunks().to_batches()[0])
            intake.commit(COUNTS | {"file": file, "path": file, "format": "pcap", "reasons": "{}"})
    return folder


@pytest.fixture
def later(lake: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """The next version: flows have one more column, which is twice the packets."""
    assert lake
    version = schema.VERSION + 1
    for module in (schema, lakes, store):
        monkeypatch.setattr(module, "VERSION", version)
    column = Column("twice", pa.int64(), "twice the packets")
    monkeypatch.setitem(schema.TABLES, "flow", replace(FLOW, columns=(*FLOW.columns, column)))

    def add(old: pa.Table) -> pa.Table:
        return old.append_column("twice", pa.array([2 * n for n in old["packets"].to_pylist()], pa.int64()))

    monkeypatch.setitem(versions.CHANGES, version - 1, {"flow": add})
    return version


def test_an_older_lake_says_what_brings_it_here(lake: Path, later: int) -> None:
    with pytest.raises(RunError, match=f"reads version {later}: `dnsonde migrate {lake}`"):
        Lake(lake)


def test_every_part_is_rewritten_and_reads_as_if_it_had_been_written_now(lake: Path, later: int) -> None:
    told: list[tuple[int, int]] = []
    assert migrate(lake, lambda done, total: told.append((done, total))) == 4
    assert told == [(n, 4) for n in range(4)]
    flow = Lake(lake).tables()["flow"].to_arrow_table()
    assert flow.num_rows == 10
    assert flow["twice"].to_pylist() == [2 * n for n in flow["packets"].to_pylist()]
    assert len(Lake(lake).accounts()) == 2
    assert json.loads((lake / lakes.ABOUT).read_text())["version"] == later
    assert not list(lake.rglob("*.tmp"))
    assert migrate(lake) == 0


@pytest.mark.usefixtures("later")
def test_killed_half_way_it_goes_on(lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rewrite = migrating._rewrite

    def killed(part: Path, table: str, version: int) -> None:
        if table == ACCOUNT.name:
            raise KeyboardInterrupt
        rewrite(part, table, version)

    with monkeypatch.context() as patch:
        patch.setattr(migrating, "_rewrite", killed)
        with pytest.raises(KeyboardInterrupt):
            migrate(lake)
    with pytest.raises(RunError, match="dnsonde migrate"):
        Lake(lake)
    assert migrate(lake) == 2
    assert Lake(lake).tables()["flow"].to_arrow_table().num_rows == 10


@pytest.mark.usefixtures("later")
def test_a_run_is_migrated_too(lake: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(lake / "flow", run / "flow")
    with pytest.raises(RunError, match=f"`dnsonde migrate {run}` brings it there"):
        store.open_folder(run)
    assert migrate(run) == 2
    assert len(store.open_folder(run)["flow"]) == 10
    assert sorted(path.name for path in run.iterdir()) == ["flow"]


def test_what_no_step_leads_from_is_refused_whole(
    lake: Path, later: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(versions.CHANGES, later - 1)
    before = {path: path.read_bytes() for path in lake.rglob("*.parquet")}
    for act in (Lake, migrate):
        with pytest.raises(RunError, match="use the dnsonde that made it, or ingest or measure again"):
            act(lake)
    assert {path: path.read_bytes() for path in lake.rglob("*.parquet")} == before


def test_what_is_newer_asks_for_a_newer_dnsonde(lake: Path) -> None:
    about = lake / lakes.ABOUT
    about.write_text(json.dumps({"dnsonde": "lake", "version": schema.VERSION + 1}))
    for act in (Lake, migrate):
        with pytest.raises(RunError, match="a newer dnsonde made it, so upgrade this one"):
            act(lake)


def test_what_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="there is no run or lake"):
        migrate(tmp_path / "nowhere")
    with pytest.raises(RunError, match="neither a run nor a lake"):
        migrate(tmp_path)
    (tmp_path / "flow").mkdir()
    (tmp_path / "flow" / "part-1.parquet").write_bytes(b"nonsense")
    with pytest.raises(RunError, match="cannot be read"):
        migrate(tmp_path)
    pq.write_table(pa.table({"a": [1]}), tmp_path / "flow" / "part-1.parquet")
    with pytest.raises(RunError, match="move it away"):
        migrate(tmp_path)


def test_each_older_version_has_a_way_here() -> None:
    assert all(versions.is_within_reach(version) for version in range(1, schema.VERSION))
    assert schema.VERSION not in versions.CHANGES
