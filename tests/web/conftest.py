"""A folder, a site and a client that asks it without a socket."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from dnsonde.clock import SystemClock
from dnsonde.web._app import application
from dnsonde.web._site import Site
from tests.web.folder import make_folder

TOKEN = "nobody guesses this one"  # noqa: S105 - it is of these tests
Client = Callable[..., TestClient]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs and lakes that no test changes."""
    return make_folder(tmp_path_factory.mktemp("web") / "shelf")


@pytest.fixture(scope="session")
def site(folder: Path) -> Site:
    return Site(folder, SystemClock(), token=TOKEN)


@pytest.fixture
def web(site: Site) -> Iterator[TestClient]:
    """Asks as a browser on this machine does, without the token."""
    with TestClient(application(site), base_url="http://127.0.0.1:8053", follow_redirects=False) as client:
        yield client


@pytest.fixture
def serve() -> Iterator[Client]:
    """A client of another folder: serve(folder, guarded=..., names=...)."""
    open_clients: list[TestClient] = []

    def made(place: Path, names: tuple[str, ...] = (), **options: Any) -> TestClient:
        site = Site(place, SystemClock(), token=TOKEN, **options)
        client = TestClient(
            application(site, names), base_url="http://127.0.0.1:8053", follow_redirects=False
        )
        open_clients.append(client)
        return client

    yield made
    for client in open_clients:
        client.close()


@pytest.fixture
def token() -> str:
    return TOKEN
