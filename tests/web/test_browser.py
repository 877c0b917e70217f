"""The pages and the report in a real browser: they work, they obey their policy, and everybody can use them."""

import io
import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dnsonde.clock import SystemClock
from dnsonde.export.html import html
from dnsonde.view.open import open_view
from dnsonde.web._app import application
from dnsonde.web._site import Site
from tests.export.views import HOSTILE
from tests.web.folder import make_run

pytestmark = pytest.mark.browser
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PAGES = (
    "/", "/run/runs/november", "/hosts/runs/november", "/host/127.1.0.9/runs/november", "/lake/march", "/lake/april",
    "/findings/march", "/campaigns/march", "/read/march", "/compare?before=runs/october&after=runs/november", "/enter",
    "/hosts/runs/november?text=nobody", "/nope",
)  # fmt: skip
LONGEST_MS = 180_000  # on a machine that has much else to do
AXE = "rules => axe.run(document, {resultTypes: ['violations'], ...(rules ? {runOnly: rules} : {})})"


class Surfer:
    """A tab of the browser, and whatever it complained of."""

    def __init__(self, browser: Any, base: str, token: str = "", **options: Any) -> None:
        self.context = browser.new_context(base_url=base, reduced_motion="reduce", **options)
        self.context.set_default_timeout(LONGEST_MS)
        self.page = self.context.new_page()
        self.said: list[str] = []
        self.page.on(
            "console", lambda m: self.said.append(m.text) if m.type in {"error", "warning"} else None
        )
        self.page.on("pageerror", lambda e: self.said.append(str(e)))
        self.page.on("dialog", lambda d: self.said.append(f"dialog {d.message}"))
        self.base = base
        if token:
            self.page.goto(f"/?token={token}")

    def go(self, path: str) -> Any:
        return self.page.goto(path)

    def complaints(self) -> list[str]:
        """But for those about an answer of 404, which was asked for."""
        return [text for text in self.said if "404" not in text]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        launched = play.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def base(folder: Path, token_of_site: str) -> Iterator[str]:
    """The pages on a port of their own."""
    with served(Site(folder, SystemClock(), token=token_of_site)) as address:
        yield address


@pytest.fixture(scope="module")
def token_of_site() -> str:
    return "nobody guesses this one"


class served:  # noqa: N801 - reads as the verb that it is
    """Serve a site in a thread for as long as the block lasts."""

    def __init__(self, site: Site) -> None:
        import uvicorn

        self.socket = socket.create_server(("127.0.0.1", 0))
        config = uvicorn.Config(
            application(site), lifespan="off", log_config=None, access_log=False, ws="none", http="h11"
        )
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, args=([self.socket],), daemon=True)

    def __enter__(self) -> str:
        self.thread.start()
        return f"http://127.0.0.1:{self.socket.getsockname()[1]}"

    def __exit__(self, *_: object) -> None:
        self.server.should_exit = True
        self.thread.join(10)
        self.socket.close()


@pytest.fixture(scope="module")
def surfer(browser: Any, base: str, token_of_site: str) -> Iterator[Surfer]:
    made = Surfer(browser, base, token_of_site, viewport={"width": 1200, "height": 900})
    yield made
    made.context.close()


@pytest.fixture(scope="module")
def axe() -> str:
    import axe_playwright_python

    return (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()


def violations(page: Any, axe: str, rules: list[str] | None = None) -> list[str]:
    """What axe-core finds wrong, as rule and place."""
    # Through the debugger, as an extension would: the page's own policy lets no such script in.
    page.evaluate(axe)
    found = page.evaluate(AXE, rules)
    told = [(v["id"], node) for v in found["violations"] for node in v["nodes"]]
    return [f"{rule}: {node['target']} {node.get('failureSummary')}" for rule, node in told]


@pytest.mark.parametrize("path", PAGES)
def test_everybody_can_use_every_page(path: str, surfer: Surfer, axe: str) -> None:
    """It loads, nothing is refused, no script fails, axe finds nothing by day or night; narrow, it does not scroll."""
    page = surfer.page
    surfer.said.clear()
    surfer.go(path)
    assert page.locator("main").inner_text()
    assert violations(page, axe) == []
    page.emulate_media(color_scheme="dark")
    assert violations(page, axe, ["color-contrast"]) == []
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    page.set_viewport_size({"width": 1200, "height": 900})
    assert surfer.complaints() == []


def test_charts_are_drawn(surfer: Surfer) -> None:
    surfer.go("/run/runs/november")
    boxes = [shape.bounding_box() for shape in surfer.page.locator("svg rect").all()[:10]]
    assert len(boxes) == 10
    assert all(box and box["width"] > 0 and box["height"] > 0 for box in boxes)
    assert surfer.page.locator("svg").first.evaluate("e => getComputedStyle(e).display") == "block"


def test_hosts_are_filtered_sorted_and_paged_by_hand(surfer: Surfer) -> None:
    page = surfer.page
    surfer.go("/hosts/runs/november")
    page.get_by_label("class").select_option("refused")
    page.get_by_role("button", name="Filter").click()
    assert "61 of 120 hosts" in page.locator("main").inner_text()
    assert page.get_by_label("class").input_value() == "refused"
    page.get_by_role("link", name="Clear").click()
    page.get_by_role("link", name="amplification").click()
    assert page.locator("th[aria-sort=descending]").inner_text().startswith("amplification")
    first = page.locator("tbody tr").first.inner_text()
    page.get_by_role("link", name="Next").click()
    assert "51 to 90 of 90" in page.locator("main").inner_text()
    page.get_by_role("link", name="Previous").click()
    assert page.locator("tbody tr").first.inner_text() == first


def test_the_keyboard_reaches_everything(surfer: Surfer) -> None:
    page = surfer.page
    surfer.go("/hosts/runs/november?text=127.1.0.0/29")
    wanted = page.evaluate(
        "document.querySelectorAll('a[href], button, input:not([type=hidden]), select').length"
    )
    reached = set()
    for _ in range(wanted + 8):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate("""() => {
          const e = document.activeElement;
          return e === document.body ? '' : e.outerHTML.slice(0, 200) + [...document.querySelectorAll('*')].indexOf(e);
        }""")
        )
    controls = {text for text in reached if text.startswith(("<a", "<button", "<input", "<select"))}
    assert len(controls) == wanted
    surfer.go("/hosts/runs/november")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.url.endswith("#main")


@pytest.mark.parametrize(
    "path", ["/findings/march?detector=dns_tunnel", "/hosts/runs/november?show=all", "/read/march"]
)
def test_hostile_names_stay_inert(path: str, surfer: Surfer) -> None:
    page = surfer.page
    surfer.said.clear()
    surfer.go(path)
    assert page.evaluate("document.scripts.length") == 1
    text = page.locator("main").inner_text()
    assert "<script>alert(1)</script>.example" in text
    assert not set(text) & {"\u202e", "\x1b", "\x9b"}
    assert surfer.complaints() == []


def test_a_name_of_255_octets_does_not_break_the_page(surfer: Surfer) -> None:
    surfer.go("/findings/march?text=aaaaaaaaaaaaaaaa")
    surfer.page.locator("tbody a").click()
    assert HOSTILE[-1] in surfer.page.locator("dl").inner_text()
    surfer.page.set_viewport_size({"width": 390, "height": 844})
    wide = surfer.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    surfer.page.set_viewport_size({"width": 1200, "height": 900})
    assert wide == 0


def test_a_run_that_is_measured_elsewhere_is_followed(
    browser: Any, tmp_path: Path, token_of_site: str
) -> None:
    import fcntl

    import msgspec
    from playwright.sync_api import expect

    from dnsonde.probe import state

    run = make_run(tmp_path / "run", 40, complete=False)
    shutil.rmtree(run / "verdict")
    kept = state.load(run)
    assert kept is not None
    with (
        (run / state.LOCK).open("w") as lock,
        served(Site(tmp_path, SystemClock(), token=token_of_site)) as base,
    ):
        fcntl.flock(lock, fcntl.LOCK_EX)
        surfer = Surfer(browser, base)
        surfer.go("/run/run")
        page = surfer.page
        assert "in progress" in page.locator("header").inner_text()
        assert page.locator("#live-sent").inner_text() == "40 probes sent"
        assert float(page.locator("#share").get_attribute("value") or 0) == pytest.approx(40 / 256)
        state.save(run, msgspec.structs.replace(kept, counts={"sent": 77}))
        expect(page.locator("#live-sent")).to_have_text("77 probes sent", timeout=LONGEST_MS)
        fcntl.flock(lock, fcntl.LOCK_UN)
        expect(page.locator("header")).to_contain_text("not finished", timeout=LONGEST_MS)
        assert surfer.complaints() == []
        surfer.context.close()


def test_without_a_script_it_all_works(browser: Any, base: str) -> None:
    surfer = Surfer(browser, base, java_script_enabled=False)
    surfer.go("/")
    surfer.page.get_by_role("link", name="runs/november", exact=True).click()
    surfer.page.get_by_role("link", name="Hosts", exact=True).click()
    surfer.page.locator("tbody a").first.click()
    assert surfer.page.locator("h1").inner_text() == "127.1.0.0"
    surfer.context.close()


def test_paper_has_the_tables_and_not_the_forms(surfer: Surfer) -> None:
    surfer.go("/hosts/runs/november")
    surfer.page.emulate_media(media="print")
    assert not surfer.page.locator("form").is_visible()
    assert surfer.page.locator("table").is_visible()
    surfer.page.emulate_media(media="screen")


@pytest.mark.parametrize("name", ["runs/november", "march"])
def test_the_report_passes_too(name: str, folder: Path, browser: Any, axe: str, tmp_path: Path) -> None:
    out = io.BytesIO()
    html(open_view(folder / name), out)
    file = tmp_path / "report.html"
    file.write_bytes(out.getvalue())
    surfer = Surfer(browser, "http://127.0.0.1")
    surfer.go(file.as_uri())
    assert violations(surfer.page, axe) == []
    assert surfer.complaints() == []
    surfer.page.set_viewport_size({"width": 390, "height": 844})
    assert (
        surfer.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        == 0
    )
    surfer.context.close()
