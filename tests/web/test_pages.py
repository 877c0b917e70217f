"""What the pages say, without a browser."""

import fcntl
import os
import re
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import quote

import duckdb
import pytest
from starlette.testclient import TestClient

from dnsonde import report
from dnsonde.probe.state import Lock
from dnsonde.table import store
from dnsonde.table.schema import SIGHTING
from dnsonde.web import _site
from tests.export.views import HOSTILE
from tests.web.conftest import Client
from tests.web.folder import make_lake, make_run, write

PAGES = (
    "/", "/run/runs/november", "/hosts/runs/november", "/host/127.1.0.0/runs/november", "/lake/march", "/lake/april",
    "/findings/march", "/findings/april", "/campaigns/march", "/campaigns/april", "/read/march", "/compare",
    "/compare?before=runs/october&after=runs/november", "/enter",
)  # fmt: skip
STEERS = {"\u202e", "\u202c", "\x1b", "\x9b"}


def text_of(html: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


@pytest.mark.parametrize("lang", ["en", "ja"])
@pytest.mark.parametrize("path", PAGES)
def test_every_page_is_there_and_inert(path: str, lang: str, web: TestClient) -> None:
    answer = web.get(path, headers={"Accept-Language": lang})
    assert answer.status_code == 200, answer.text
    assert f'<html lang="{lang}">' in answer.text
    assert answer.text.count("<script") == 1
    assert not set(answer.text) & STEERS
    assert not re.search(r"<[^>]* (style|on\w+)=", answer.text)
    assert len(re.findall(r'id="([^"]+)"', answer.text)) == len(set(re.findall(r'id="([^"]+)"', answer.text)))
    for link in re.findall(r'(?:href|action|src)="([^"#]*)', answer.text):
        assert link == "" or link.startswith("/"), link


def test_every_link_leads_somewhere(web: TestClient) -> None:
    seen, waiting = set[str](), ["/"]
    while waiting and len(seen) < 120:
        path = waiting.pop()
        if path.split("?")[0] in {p.split("?")[0] for p in seen} and "host/" in path:
            continue
        seen.add(path)
        answer = web.get(path)
        assert answer.status_code == 200, path
        for link in re.findall(r'href="([^"#]+)', answer.text):
            there = link.replace("&amp;", "&")
            if there not in seen and there not in waiting:
                waiting.append(there)
    assert len(seen) > 30


def test_the_overview_tells_how_all_stand(web: TestClient) -> None:
    said = text_of(web.get("/").text)
    assert "runs/november" in said
    assert "nobody has looked yet" in said
    assert "critical 1" in said


def test_the_newest_run_is_compared_with_the_one_before(web: TestClient) -> None:
    page = web.get("/").text
    table, _, rest = page.partition('action="/compare"')
    when = dict(re.findall(r'<a href="/run/([^"]*)">.*?<td class="t">([^<]*)</td>', table, re.DOTALL))
    before, after = re.findall(r"<option selected>([^<]*)<", rest.partition("</form>")[0])
    assert before != after
    assert when[before] <= when[after]


def test_a_damaged_run_is_not_proposed_for_comparison(folder: Path, tmp_path: Path, serve: Client) -> None:
    shutil.copytree(folder, tmp_path / "shelf")
    shutil.copytree(folder / "runs/november", tmp_path / "shelf/runs/torn")
    (tmp_path / "shelf/runs/torn/state.json").write_text("{")
    form = serve(tmp_path / "shelf").get("/").text.partition('action="/compare"')[2].partition("</form>")[0]
    chosen = re.findall(r"<option selected>([^<]*)<", form)
    assert set(chosen) == {"runs/october", "runs/november"}
    for after, before in ((chosen[1], chosen[0]), (chosen[0], chosen[1]), ("runs/torn", chosen[1])):
        said = serve(tmp_path / "shelf").get(f"/compare?after={after}").text
        assert re.findall(r"<option selected>([^<]*)<", said) == [before, after]


def test_what_a_labs_prober_saw_within_a_run_is_not_proposed_for_comparison(
    folder: Path, tmp_path: Path, serve: Client
) -> None:
    shutil.copytree(folder, tmp_path / "shelf")
    shutil.copytree(folder / "runs/november", tmp_path / "shelf/runs/november/secshow")
    form = serve(tmp_path / "shelf").get("/").text.partition('action="/compare"')[2].partition("</form>")[0]
    assert "runs/november/secshow" in form
    assert "runs/november/secshow" not in re.findall(r"<option selected>([^<]*)<", form)


def test_hosts_are_filtered(web: TestClient) -> None:
    def found(query: str) -> str:
        return re.search(r"([\d,]+) of 120 hosts", text_of(web.get(f"/hosts/runs/november?{query}").text))[1]  # type: ignore[index]

    assert found("") == "90"
    assert found("show=all") == "120"
    assert found("class=silent") == "30"
    assert found("show=all&class=refused&class=silent") == "91"
    assert found("show=open") == "29"
    assert found("show=all&prefix=127.1.0.0/30") == "4"
    assert found("show=all&text=127.1.0.7") == "1"
    assert found("text=127.9.0.0/24") == "29"
    assert found("text=ALERT(1)") == "37"


@pytest.mark.parametrize(
    "sort", ["target", "class", "open", "amplification", "egress", "responder", "rtt_us", "why"]
)
@pytest.mark.parametrize("down", ["", "1"])
def test_pages_of_a_sorted_table_hold_every_host_once(sort: str, down: str, web: TestClient) -> None:
    def addresses(html: str) -> list[str]:
        return re.findall(r'href="/host/([^/]+)/', html)

    def go(html: str, rel: str) -> str | None:
        link = re.search(rf'rel="{rel}" href="([^"]+)"', html)
        return link[1].replace("&amp;", "&") if link else None

    first = web.get(f"/hosts/runs/november?show=all&sort={sort}&down={down}").text
    pages, html = [addresses(first)], first
    while (link := go(html, "next")) is not None:
        html = web.get(link).text
        pages.append(addresses(html))
    every = [a for page in pages for a in page]
    assert [len(p) for p in pages] == [50, 50, 20]
    assert len(set(every)) == 120
    assert "101 to 120 of 120" in html
    last = web.get(f"/hosts/runs/november?show=all&sort={sort}&down={down}&last=1").text
    assert addresses(last) == pages[-1]
    back = web.get(go(html, "prev") or "").text
    assert addresses(back) == pages[1]
    assert "51 to 100 of 120" in back
    assert go(web.get(go(back, "prev") or "").text, "prev") is None


def test_sorting_puts_what_is_missing_last(web: TestClient) -> None:
    for down in ("", "1"):
        last = web.get(f"/hosts/runs/november?show=all&sort=amplification&down={down}&last=1").text
        assert last.count('<td class="l">silent</td>') == 20


@pytest.mark.parametrize(
    "query",
    ["after=nonsense", "after=[1]", "after=[null,0,0,1]", "after=[1,2,3]&sort=why", "after=" + "[" * 900, "sort=nope",
     "show=some", "class=nope", "prefix=nope", "after=[0,1e999,1]", "text=" + "x" * 301,
     "after=[0,99999999999999999999,1]"],
)  # fmt: skip
def test_what_cannot_be_meant_is_a_sentence(query: str, web: TestClient) -> None:
    answer = web.get(f"/hosts/runs/november?{query}")
    assert answer.status_code == 400
    assert "unexpected" not in answer.text
    assert '<p class="lead">' in answer.text


@pytest.mark.parametrize("number", ["0", "-1", "x", "1000000000", "000000000001" + "9" * 200])
def test_a_page_is_a_number_that_there_may_be(number: str, web: TestClient) -> None:
    for path in ("/read/march", "/findings/march", "/"):
        assert web.get(path, params={"page": number}).status_code == 400


def test_a_host_has_everything_that_is_known_of_it(web: TestClient) -> None:
    said = text_of(web.get("/host/127.1.0.0/runs/november").text)
    for part in (
        "What it was asked",
        "What came back",
        "What our authority was asked",
        "2023-11-14 22:13:20",
        "1,232",
    ):
        assert part in said
    assert "False" not in said
    opened = text_of(web.get("/host/127.1.0.9/runs/november").text)
    assert "allow-recursion { own; };" in opened
    assert web.get("/host/192.0.2.1/runs/november").status_code == 404
    assert web.get("/host/nonsense/runs/november").status_code == 400


def test_findings_are_filtered_sorted_and_told(web: TestClient) -> None:
    def subjects(query: str) -> list[str]:
        return re.findall(r'<th scope="row" class="m">([^<]*)</th>', web.get(f"/findings/march?{query}").text)

    assert len(subjects("")) == 15
    assert subjects("severity=critical") == ["192.0.2.10"]
    assert subjects("detector=probing_campaign") == ["secshow.net"]
    assert subjects("text=SECSHOW") == ["secshow.net"]
    assert subjects("sort=severity&down=1")[0] == "192.0.2.10"
    assert web.get("/findings/march?severity=worst").status_code == 400
    assert "None of the 15" in web.get("/findings/march?text=nothing-like-it").text


def test_a_finding_shows_its_evidence_and_the_query_that_found_it(web: TestClient) -> None:
    html = web.get("/findings/march?detector=probing_campaign").text
    path = re.search(r'href="(/finding/[^"]+)"', html)
    assert path
    said = text_of(web.get(path[1]).text)
    for part in (
        "targets",
        "30",
        "SELECT",
        "seen_message",
        "RFC 1035",
        "Close recursion to strangers",
    ):
        assert part in said, part
    assert web.get("/finding/0000000000000000/march").status_code == 404


def test_campaigns_tell_who_when_and_what_they_learned(web: TestClient) -> None:
    said = text_of(web.get("/campaigns/march").text)
    for part in (
        "secshow.net",
        "What the probers know now",
        "eight hexadecimal digits",
        "Messages of each campaign",
        "1 domain whose names",
    ):
        assert part in said, part
    assert HOSTILE[0] not in said, "a tunnel probes nobody"


def test_two_runs_are_compared(web: TestClient) -> None:
    said = text_of(web.get("/compare?before=runs/october&after=runs/november&change=closed").text)
    assert "1 to 1 of 1" in said
    assert "127.1.0.0" in said
    assert web.get("/compare?before=runs/october&after=march").status_code == 404


def test_a_comparison_leaves_no_engine_open(web: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    web.get("/compare?before=runs/october&after=runs/november")
    made, begin = [], store.database

    def noted(**options: Any) -> duckdb.DuckDBPyConnection:
        made.append(begin(**options))
        return made[-1]

    monkeypatch.setattr(store, "database", noted)
    assert web.get("/compare?before=runs/november&after=runs/october").status_code == 200
    assert web.get("/compare?before=runs/november&after=runs/october&change=closed").status_code == 200
    (engine,) = made
    with pytest.raises(duckdb.ConnectionException):
        engine.execute("SELECT 1")


def test_a_comparison_that_takes_too_long_is_given_up(
    tmp_path: Path, serve: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("first", "second"):
        make_run(tmp_path / name, 8)
    slow = "(SELECT count(*) FROM range(200000) a, range(200000) b WHERE a.range * b.range % 7 = 3) > 0"
    monkeypatch.setattr(report, "compare", lambda _was, now: now.filter(slow))
    monkeypatch.setattr(_site, "QUERY_S", 0.2)
    answer = serve(tmp_path).get("/compare?before=first&after=second")
    assert answer.status_code == 503
    assert "given up" in answer.text


def test_a_run_that_is_not_finished_is_compared_as_one(tmp_path: Path, serve: Client) -> None:
    make_run(tmp_path / "all", 8)
    make_run(tmp_path / "begun", 4, complete=False)
    said = text_of(serve(tmp_path).get("/compare?before=all&after=begun").text)
    assert "begun: The run is not finished" in said
    assert "4 of 256 addresses have been asked." in said
    assert "all: The run" not in said


def test_a_run_that_is_joined_is_not_in_progress(tmp_path: Path, serve: Client) -> None:
    run = make_run(tmp_path / "run", 8)
    with Lock(run, joining=True):
        assert "in progress" not in text_of(serve(tmp_path).get("/").text)
    with Lock(run):
        assert "in progress" in text_of(serve(tmp_path).get("/").text)


def test_what_is_to_be_typed_means_the_folder_to_a_shell(tmp_path: Path, serve: Client) -> None:
    shelf = tmp_path / "a;touch x"
    shelf.mkdir()
    assert "-o &#39;" in serve(shelf).get("/").text
    assert "a;touch x/first&#39;" in serve(shelf).get("/").text
    write(shelf / "seen", SIGHTING, [])
    (shelf / "seen/sighting").mkdir(parents=True, exist_ok=True)
    make_lake(shelf / "lake", None)
    shutil.rmtree(make_run(shelf / "run", 8) / "verdict")
    web = serve(shelf)
    assert "dnsonde join RUN &#39;" in web.get("/").text
    assert "dnsonde join &#39;" in web.get("/run/run").text
    assert "dnsonde detect &#39;" in web.get("/lake/lake").text


@pytest.mark.parametrize("name", ["p%41z", "a b", "q?x", "h#y", "two\nlines", "\u202eback"])
def test_a_folder_may_have_any_name(name: str, tmp_path: Path, serve: Client) -> None:
    make_run(tmp_path / name, 8)
    web = serve(tmp_path)
    waiting = re.findall(r'href="(/(?:run|hosts)/[^"]*)"', web.get("/").text)
    assert len(waiting) > 1
    for link in waiting[:2]:
        answer = web.get(sent(link))
        assert answer.status_code == 200, link
        again = [
            there
            for there in re.findall(r'href="([^"#]+)', answer.text)
            if "lang=" in there or "sort=" in there
        ]
        assert len(again) > 1
        for there in again:
            assert web.get(sent(there)).status_code == 200, there


def test_no_address_makes_a_page_link_to_another_host(web: TestClient) -> None:
    answer = web.get("http://127.0.0.1:8053//other.example/x")
    assert answer.status_code == 404
    assert 'href="/other.example/x?lang=ja"' in answer.text
    assert 'href="//' not in answer.text


def sent(link: str) -> str:
    """A link as the client takes it, which decodes the path of what it is given twice."""
    path, _, query = link.replace("&amp;", "&").partition("?")
    return f"{quote(path)}?{query}"


def test_an_empty_folder_says_what_to_type(tmp_path: Path, serve: Client) -> None:
    said = text_of(serve(tmp_path).get("/").text)
    assert "There is no run and no lake" in said
    assert f"dnsonde lab demo -o {tmp_path}/first" in said


def test_what_came_of_a_run_and_lies_in_it_is_there_too(folder: Path, tmp_path: Path, serve: Client) -> None:
    """As the demo leaves it: a run, and in it another prober's and a lake."""
    shutil.copytree(folder / "runs/october", tmp_path / "demo")
    shutil.copytree(folder / "runs/november", tmp_path / "demo/secshow")
    shutil.copytree(folder / "march", tmp_path / "demo/lake")
    for served, names in (
        (tmp_path, ["demo", "demo/lake", "demo/secshow"]),
        (tmp_path / "demo", ["demo", "lake", "secshow"]),
    ):
        page = serve(served).get("/").text
        assert sorted(re.findall(r'scope="row"><a href="/(?:run|lake)/([^"]*)"', page)) == names


def test_a_run_or_a_lake_may_be_the_folder_itself(tmp_path: Path, serve: Client) -> None:
    make_run(tmp_path / "only", 8)
    web = serve(tmp_path / "only")
    assert "/run/only" in web.get("/").text
    assert web.get("/hosts/only").status_code == 200


def test_sightings_alone_are_not_said_to_be_missed(tmp_path: Path, serve: Client) -> None:
    run = make_run(tmp_path / "run", 8)
    shutil.copytree(run / "sighting", tmp_path / "seen/sighting")
    said = text_of(serve(tmp_path).get("/").text)
    assert (
        f"seen: 1 query. This adds those of a run that it does not have yet: dnsonde join RUN {tmp_path}"
        in said
    )


def test_damage_is_told_where_it_is(tmp_path: Path, serve: Client) -> None:
    make_run(tmp_path / "broken", 8)
    (tmp_path / "broken/state.json").write_text("{")
    make_run(tmp_path / "torn", 8)
    (tmp_path / "torn/verdict/part-000001.parquet").write_bytes(b"PAR1 no more")
    make_run(tmp_path / "plainless", 8)
    (tmp_path / "plainless/plan.toml").unlink()
    make_lake(tmp_path / "old", None)
    (tmp_path / "old/lake.json").write_text('{"dnsonde": "lake", "version": 0}')
    make_run(tmp_path / "begun", 8, complete=False)
    shutil.rmtree(tmp_path / "begun/verdict")
    make_run(tmp_path / "unjudged", 8)
    shutil.rmtree(tmp_path / "unjudged/verdict")
    web = serve(tmp_path)
    said = text_of(web.get("/").text)
    assert said.count(" damaged ") == 4, said
    assert "this dnsonde reads version" in said
    for name in ("broken", "torn", "plainless"):
        assert web.get(f"/run/{name}").status_code == 200
    assert "state.json is damaged" in web.get("/run/broken").text
    assert "dnsonde probe PLAN.toml -o" in web.get("/run/begun").text
    assert "dnsonde join" in web.get("/run/unjudged").text
    assert "lake of version 0" in web.get("/lake/old").text
    for path in (
        "/hosts/torn",
        "/hosts/unjudged",
        "/hosts/plainless",
        "/findings/old",
        "/host/127.1.0.0/torn",
    ):
        answer = web.get(path)
        assert answer.status_code == 409, path
        assert "unexpected" not in answer.text


def test_a_lake_that_is_read_into_tells_what_is_written(tmp_path: Path, serve: Client) -> None:
    make_lake(tmp_path / "lake", None)
    place = tmp_path / "lake/.incoming/bbbb/message"
    place.mkdir(parents=True)
    (place / "part-1.parquet").write_bytes(b"PAR1 half a part")
    web = serve(tmp_path)
    assert "in progress" not in web.get("/lake/lake").text
    descriptor = os.open(place.parent, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        web = serve(tmp_path)
        said = text_of(web.get("/lake/lake").text)
        assert "in progress" in said
        assert "1 file is being taken in" in said
        assert "1 parts with 16 octets written" in said
        assert web.get("/live/lake").json()["texts"]["inside"] == "1 file is in the lake already"
    finally:
        os.close(descriptor)


def test_every_hostile_finding_is_a_page(web: TestClient) -> None:
    html = web.get("/findings/march?detector=dns_tunnel").text
    links = re.findall(r'href="(/finding/[^"]+)"', html)
    assert len(links) == len(HOSTILE)
    for link in links:
        answer = web.get(link)
        assert answer.status_code == 200
        assert answer.text.count("<script") == 1
        assert not set(answer.text) & STEERS


@pytest.mark.parametrize(
    ("wanted", "shown"), [("ja; q=0.9, en;q=0.5", "ja"), ("ja-JP ;q=0.2, en", "en"), ("xx, ja ; q = 1", "ja")]
)
def test_the_browsers_language_is_taken(wanted: str, shown: str, web: TestClient) -> None:
    """Blanks may stand around each part (RFC 9110, 5.6.6)."""
    assert f'<html lang="{shown}">' in web.get("/", headers={"accept-language": wanted}).text


def test_a_language_is_kept_once_chosen(web: TestClient) -> None:
    answer = web.get("/?lang=ja")
    assert "dnsonde-lang=ja" in answer.headers["set-cookie"]
    assert '<html lang="ja">' in answer.text
    assert '<html lang="ja">' in web.get("/").text
