"""The one thing that the page writes: a look for threats in a lake, kept in it."""

import os
from contextlib import suppress
from pathlib import Path

import pytest

from dnsonde import watch
from dnsonde.errors import UsageError
from dnsonde.web._look import Looks
from tests.web.conftest import Client
from tests.web.folder import make_lake

LONGEST_S = 240.0  # on a machine that compiles, and has much else to do


def test_a_look_is_kept_in_the_lake_and_shown(tmp_path: Path, serve: Client, token: str) -> None:
    make_lake(tmp_path / "lake", None)
    web = serve(tmp_path)
    headers = {"Authorization": f"Bearer {token}", "Origin": "http://127.0.0.1:8053"}
    assert web.post("/look/lake", headers=headers, data={"home": "nonsense"}).status_code == 400
    answer = web.post("/look/lake", headers=headers, data={"home": "192.0.2.0/24, 2001:db8::/32"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/lake/lake")
    site = web.app._app.state.site  # type: ignore[attr-defined]
    look = site.looks.of("lake")
    assert look is not None
    if not look.over:
        assert web.post("/look/lake", headers=headers).status_code == 400
        assert "look" in web.get("/live/lake").json()["texts"] or look.over
    assert look.ended.wait(LONGEST_S)
    assert look.failed == ""
    found = watch.kept(tmp_path / "lake")
    assert found is not None
    assert list(map(str, found.home)) == ["192.0.2.0/24", "2001:db8::/32"]
    assert "Nobody has looked" not in web.get("/findings/lake").text


def test_why_a_look_ended_early_is_told(tmp_path: Path) -> None:
    looks = Looks()
    looks.start("gone", tmp_path / "gone", ())
    look = looks.of("gone")
    assert look is not None
    with pytest.raises(UsageError, match="in gone just now"):
        looks.start("other", tmp_path, ())
    assert look.ended.wait(LONGEST_S)
    assert "gone" in look.failed
    assert not [status for status in Path("/proc").glob("[0-9]*/stat") if is_ours_and_defunct(status)]


def is_ours_and_defunct(status: Path) -> bool:
    with suppress(OSError):
        state, parent = status.read_text().rpartition(")")[2].split()[:2]
        return (state, int(parent)) == ("Z", os.getpid())
    return False
