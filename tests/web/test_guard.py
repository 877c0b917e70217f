"""Who may ask, and what every answer says about itself."""

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tests.web.conftest import Client
from tests.web.folder import make_run

OWN = {"Origin": "http://127.0.0.1:8053", "Sec-Fetch-Site": "same-origin"}


@pytest.mark.parametrize(
    "path", ["/", "/nope", "/static/style.css", "/static/live.js", "/live/", "/hosts/nope"]
)
def test_every_answer_is_locked_down(path: str, web: TestClient) -> None:
    headers = web.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] in {"no-store", "private, max-age=86400"}
    assert "server" not in headers


@pytest.mark.parametrize(
    ("host", "status"),
    [("127.0.0.1:8053", 200), ("localhost:8053", 200), ("[::1]:8053", 200), ("192.0.2.7", 200), ("LOCALHOST.", 200),
     ("evil.example", 421), ("127.0.0.1.evil.example:8053", 421), ("localhost:8053.evil.example", 421), ("", 421),
     ("shelf.example:8053", 421)],
)  # fmt: skip
def test_names_that_were_made_to_lead_here_are_refused(host: str, status: int, web: TestClient) -> None:
    assert web.get("/", headers={"Host": host}).status_code == status


def test_a_name_that_was_given_is_ours(tmp_path: Path, serve: Client) -> None:
    web = serve(tmp_path, names=("Shelf.Example",))
    assert web.get("/", headers={"Host": "shelf.example:8053"}).status_code == 200


def test_nothing_is_written_without_the_token_and_our_own_origin(web: TestClient, token: str) -> None:
    bearer = {"Authorization": f"Bearer {token}"}
    refused = [
        {}, OWN, {"Origin": "http://evil.example"}, bearer | {"Origin": "http://evil.example"},
        bearer | {"Sec-Fetch-Site": "cross-site"}, bearer | {"Sec-Fetch-Site": "same-site"},
        bearer | {"Origin": "null"}, bearer | {"Origin": "http://127.0.0.1:1"}, {"Authorization": "Bearer wrong"} | OWN,
        {"Cookie": "dnsonde-8053=wrong"} | OWN, {"Authorization": f"Basic {token}"} | OWN,
    ]  # fmt: skip
    for headers in refused:
        assert web.post("/look/april", headers=headers).status_code == 403, headers
    assert web.post("/look/nowhere", headers=OWN | bearer).status_code == 404


@pytest.mark.parametrize("cookie", ["a,b=1", "{x}=1; @=2", "dnsonde-8053", '="', ";;;"])
def test_a_cookie_that_is_none_is_no_token_and_no_error(cookie: str, web: TestClient) -> None:
    assert web.get("/", headers={"Cookie": cookie}).status_code == 200
    assert web.post("/look/april", headers=OWN | {"Cookie": cookie}).status_code == 403


def test_the_printed_address_lets_in_and_leaves_no_token_behind(web: TestClient, token: str) -> None:
    answer = web.get("/lake/april", params={"token": token, "lang": "en"})
    assert answer.status_code == 303
    assert answer.headers["location"] == "/lake/april?lang=en"
    cookie = answer.headers["set-cookie"]
    assert token not in cookie
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    assert "Secure" not in cookie
    assert "Look for threats now" in web.get("/lake/april").text
    assert web.get("/", params={"token": "wrong"}).status_code == 403


def test_on_loopback_reading_needs_no_token_and_offers_no_button(web: TestClient) -> None:
    said = web.get("/lake/april").text
    assert "<button>Look for threats now" not in said
    assert "dnsonde detect" in said


def test_elsewhere_everything_needs_the_token(tmp_path: Path, serve: Client, token: str) -> None:
    make_run(tmp_path / "run", 4)
    web = serve(tmp_path, guarded=True)
    for path in ("/", "/run/run", "/hosts/run", "/live/", "/compare", "/nope"):
        answer = web.get(path)
        assert answer.status_code == 401, path
        assert str(tmp_path) not in answer.text
        assert 'name="token"' in answer.text
    assert web.get("/static/style.css").status_code == 200
    assert web.post("/enter", data={"token": "wrong"}, headers=OWN).status_code == 403
    assert web.post("/enter", data={"token": token}).status_code == 403
    assert web.get("/", headers={"Authorization": f"Bearer {token}"}).status_code == 200
    assert web.post("/enter", data={"token": token}, headers=OWN).status_code == 303
    assert web.get("/run/run").status_code == 200


@pytest.mark.parametrize(
    "path",
    ["/run/../../etc/passwd", "/run/%2e%2e/%2e%2e/etc", "/run//etc", "/lake/.", "/run/runs/november/plan.toml",
     "/read/runs/november", "/run/march", "/run/runs%00", "/static/../_page.py", "/static/_base.html",
     "/run/runs/november/", "/hosts/..%2f..%2fetc"],
)  # fmt: skip
def test_nothing_but_what_lies_in_the_folder_is_there(path: str, web: TestClient) -> None:
    assert web.get(path).status_code == 404


def test_links_out_of_the_folder_are_not_followed(tmp_path: Path, serve: Client) -> None:
    make_run(tmp_path / "outside/secret", 4)
    (tmp_path / "shelf").mkdir()
    (tmp_path / "shelf/link").symlink_to(tmp_path / "outside")
    (tmp_path / "shelf/direct").symlink_to(tmp_path / "outside/secret")
    make_run(tmp_path / "shelf/tables", 4)
    for name in ("verdict", "probe"):
        (tmp_path / f"shelf/tables/{name}").rename(tmp_path / f"outside/{name}")
        (tmp_path / f"shelf/tables/{name}").symlink_to(tmp_path / f"outside/{name}")
    web = serve(tmp_path / "shelf")
    assert web.get("/run/link/secret").status_code == 404
    assert web.get("/run/direct").status_code == 404
    assert "secret" not in web.get("/").text
    assert web.get("/hosts/tables").status_code == 409
    assert "is a link" in web.get("/").text


def test_a_scope_that_is_a_link_is_not_followed(tmp_path: Path, serve: Client) -> None:
    make_run(tmp_path / "shelf/run", 4)
    (tmp_path / "shelf/run/scope.parquet").symlink_to(tmp_path / "elsewhere")
    assert "scope.parquet is a link" in serve(tmp_path / "shelf").get("/").text


def test_a_plan_sends_nobody_to_other_files(tmp_path: Path, serve: Client) -> None:
    make_run(tmp_path / "shelf/run", 4)
    (tmp_path / "passwords").write_text("root:secret\n")
    plan = (tmp_path / "shelf/run/plan.toml").read_text()
    (tmp_path / "shelf/run/plan.toml").write_text(plan.replace("port", 'targets = "../../passwords"\nport'))
    web = serve(tmp_path / "shelf")
    for path in ("/", "/run/run", "/hosts/run"):
        answer = web.get(path)
        assert answer.status_code == 200
        assert "root:" not in answer.text


def test_what_is_too_long_is_refused(web: TestClient, token: str) -> None:
    assert web.get("/?text=" + "x" * 5000).status_code == 414
    headers = OWN | {"Authorization": f"Bearer {token}"}
    for content in (b"x" * 5000, b"a=1&" * 30):
        assert web.post("/enter", content=content, headers=headers).status_code == 413


def test_methods_are_what_they_should_be(web: TestClient, token: str) -> None:
    head = web.head("/")
    assert head.status_code == 200
    assert head.content == b""
    headers = OWN | {"Authorization": f"Bearer {token}"}
    answer = web.post("/", headers=headers)
    assert answer.status_code == 405
    assert "GET" in answer.headers["allow"]
    assert web.get("/look/march").status_code == 405
    assert web.put("/", headers=headers).status_code == 405
    assert web.delete("/run/runs/november", headers=headers).status_code == 405
    assert "text/html" in answer.headers["content-type"]
