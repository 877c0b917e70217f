"""The real measurement of real servers: prober, authority, join and verdict meet BIND, Unbound and the others.

Each server has an address of its own on loopback, listens there, and asks others from there. Resolvers resolve for
real: a root of ours (`root`) delegates the probe zone to our authority, both on port 53 as resolvers know no other.
"""

import fcntl
import random
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import dns.message
import dns.query
import pytest

from dnsonde import run
from dnsonde.clock import SystemClock
from dnsonde.table.readable import readable
from dnsonde.table.store import open_folder
from tests.servers.root import KNOWN, KNOWN_ADDRESS, Root
from tests.servers.running import Running, running
from tests.servers.software import SOFTWARE, Setting

pytestmark = pytest.mark.servers

ZONE = "probe.example"
CONTROL = "198.18.0.80"
REWRITTEN = "198.18.0.66"
PATIENCE_S = 20.0  # a failing question's wait


@dataclass(frozen=True, slots=True)
class Case:
    """One server and what it is.

    upstream: name of the case it forwards to, `authority` for our own; expected: class and subclass; egress: name of
    the case whose address our authority must see, nobody's if empty; known: class that a known name gives.
    """

    software: str
    expected: tuple[str, str | None]
    egress: str = ""
    upstream: str = ""
    closed: bool = False
    more: str = ""
    late: str = ""
    known: str = "open"


RESOLVES = ("recursive_resolver", None)
FORWARDS = ("recursive_forwarder", "shared_egress")
REFUSES = ("refused", None)
REWRITES = ("recursive_resolver", "nxdomain_rewritten")

CASES: dict[str, Case] = {
    # Open resolvers.
    "bind": Case("bind", RESOLVES, "bind"),
    "unbound": Case("unbound", RESOLVES, "unbound"),
    "knot resolver": Case("knot_resolver", RESOLVES, "knot resolver"),
    "powerdns": Case("powerdns", RESOLVES, "powerdns"),
    # dnsmasq knows no way but to forward. Where its upstream is our very authority it is seen as a resolver.
    "dnsmasq to authority": Case("dnsmasq", RESOLVES, "dnsmasq to authority", "authority", known="silent"),
    # Forwarders, and chains of them.
    "bind forwarder": Case("bind", FORWARDS, "unbound", "unbound"),
    "unbound forwarder": Case("unbound", FORWARDS, "powerdns", "powerdns"),
    "knot resolver forwarder": Case("knot_resolver", FORWARDS, "powerdns", "powerdns"),
    "powerdns forwarder": Case("powerdns", FORWARDS, "unbound", "unbound"),
    "dnsmasq forwarder": Case("dnsmasq", FORWARDS, "unbound", "unbound"),
    "dnsmasq chain": Case("dnsmasq", FORWARDS, "unbound", "dnsmasq forwarder"),
    # Closed to the prober.
    "bind closed": Case("bind", REFUSES, closed=True, known="refused"),
    "unbound closed": Case("unbound", REFUSES, closed=True, known="refused"),
    "knot resolver closed": Case("knot_resolver", REFUSES, closed=True, known="refused"),
    "powerdns closed": Case("powerdns", ("silent", None), closed=True, known="silent"),
    "dnsmasq without upstream": Case("dnsmasq", REFUSES, closed=True, known="refused"),
    # An address for names that do not exist.
    "bind redirect": Case(
        "bind",
        REWRITES,
        "bind redirect",
        late='zone "." { type redirect; file "redirect.zone"; };',
    ),
    "powerdns lua": Case("powerdns", REWRITES, "powerdns lua", more="--lua-dns-script=rewrite.lua"),
    # DNS64 invents AAAA records only.
    "bind dns64": Case("bind", RESOLVES, "bind dns64", more="dns64 64:ff9b::/96 { };"),
    "unbound dns64": Case(
        "unbound",
        RESOLVES,
        "unbound dns64",
        more='module-config: "dns64 iterator"\n  dns64-prefix: 64:ff9b::/96',
    ),
    # Rebinding filters: here an egress is a loopback address, which they do not let through.
    "dnsmasq rebinding": Case(
        "dnsmasq", ("filtering", "rebinding"), "unbound", "unbound", more="stop-dns-rebind"
    ),
    # It takes out the address and leaves our control. All of loopback would be the glue of our authority, too.
    "unbound rebinding": Case("unbound", RESOLVES, "unbound rebinding", more="private-address: {address}"),
    # One loopback address is all that IPv6 has, so this one finds the root by IPv4. It must not take that way to our
    # authority, too: a resolver of both families goes where answers were faster, on a busy machine to the other one.
    "unbound ipv6": Case(
        "unbound",
        RESOLVES,
        "unbound ipv6",
        more="outgoing-interface: {spare}\n  do-not-query-address: {authority}/32",
    ),
    "unbound 0x20": Case("unbound", RESOLVES, "unbound 0x20", more="use-caps-for-id: yes"),
}
FILES = {
    "bind redirect": ("redirect.zone", f"$TTL 60\n@ SOA . . 1 60 60 60 60\n@ NS .\n* A {REWRITTEN}\n"),
    "powerdns lua": (
        "rewrite.lua",
        f"""
function nxdomain(dq)
  if dq.qtype ~= pdns.A then return false end
  dq.rcode = 0
  dq:addAnswer(pdns.A, "{REWRITTEN}")
  return true
end
""",
    ),
}


def has_ipv6() -> bool:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as test:
        try:
            test.bind(("::1", 53))
        except OSError:
            return False
    return True


if not has_ipv6():
    del CASES["unbound ipv6"]  # no skip: a machine that runs all of the others may have no IPv6

RESOLVERS = [name for name, case in CASES.items() if case.egress == name and not case.upstream]
FILTERS = "dnsmasq rebinding"
TRUNCATED = 0x0200


@dataclass(frozen=True, slots=True)
class World:
    """What came of it all. verdicts: a readable row a case; sightings: readable rows."""

    servers: dict[str, Running]
    verdicts: dict[str, dict[str, Any]]
    known: dict[str, dict[str, Any]]
    sightings: list[dict[str, Any]]
    replies: list[dict[str, Any]]

    def of(self, name: str) -> Running:
        """A case's server; without it the test is skipped."""
        if name not in self.servers:
            pytest.skip(absent(name))
        return self.servers[name]

    def address(self, name: str) -> str:
        """Where a case's server listens, and whence it asks."""
        return self.of(name).setting.address

    def seen(self, name: str) -> list[dict[str, Any]]:
        """What our authority saw of a case's server."""
        return [s for s in self.sightings if s["egress"] == self.address(name)]

    def reply(self, name: str, kind: str) -> dict[str, Any]:
        """What came back to a case's only probe of that kind."""
        (found,) = (r for r in self.replies if r["target"] == self.address(name) and r["kind"] == kind)
        return found


def absent(name: str) -> str:
    """Why a case cannot be tried; empty if it can."""
    while name in CASES:
        software = SOFTWARE[CASES[name].software]
        if software.path is None:
            return f"{software.program} is not installed (Debian: apt-get install {software.package})"
        name = CASES[name].upstream
    return ""


def free_block() -> str:
    """The beginning of a /16 of loopback addresses of which nobody serves port 53."""
    for number in random.sample(range(64, 240), 50):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as test:
            try:
                test.bind((f"127.{number}.0.1", 53))
            except PermissionError:
                pytest.skip("port 53 may not be bound, and resolvers ask no other: run these tests as root")
            except OSError:
                continue
            return f"127.{number}"
    raise AssertionError("port 53 is in use all over loopback")


def filled(text: str, **values: str) -> str:
    """`text` with `{name}` replaced; other braces stay, as configurations are full of them."""
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def settings(block: str, folder: Path) -> dict[str, Setting]:
    """Each case's setting: a /24 for each, so that no two are neighbours."""
    port = run.free_port()
    names = [name for name in CASES if not absent(name)]
    addresses = {name: f"{block}.{number}.53" for number, name in enumerate(names, 10)}
    spare = addresses.get("unbound ipv6", "")
    if spare:
        addresses["unbound ipv6"] = "::1"
    addresses["authority"] = f"{block}.0.2#53"
    return {
        name: Setting(
            folder / name.replace(" ", "_"),
            addresses[name],
            port,
            f"{block}.0.1",
            addresses.get(CASES[name].upstream, ""),
            CASES[name].closed,
            filled(CASES[name].more, spare=spare, address=addresses[name], authority=f"{block}.0.2"),
            CASES[name].late,
            inner=run.free_port() if SOFTWARE[CASES[name].software].relayed else 0,
        )
        for name in names
    }


def write_plan(folder: Path, chosen: dict[str, Setting], zone: str) -> Path:
    port = next(iter(chosen.values())).port
    plan = folder / "plan.toml"
    plan.write_text(
        f"[scope]\nprefixes = {[s.address for s in chosen.values()]}\nport = {port}\n"
        f"[zone]\n{zone}\n[probe]\ntimeout_s = 2.0\n"
    )
    return plan


def measured(plan: Path) -> dict[str, list[dict[str, Any]]]:
    """Measure as `dnsonde probe` does; the run's tables as rows for people."""
    folder = plan.parent / "run"
    result = run.measure(
        plan, folder, SystemClock(), authority=True, on_progress=lambda _: None, say=lambda _: None
    )
    assert result.finished
    tables = open_folder(folder)
    return {name: readable(tables[name]).read_all().to_pylist() for name in ("verdict", "reply", "sighting")}


@contextmanager
def alone() -> Iterator[None]:
    """No other test session at the same time: there is but one IPv6 address."""
    with (Path(gettempdir()) / "dnsonde-servers.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Every server that is installed, measured twice: by a zone of our own, and by a name whose answer is known."""
    block, folder = free_block(), tmp_path_factory.mktemp("servers")
    chosen = settings(block, folder)
    if not chosen:
        pytest.skip("none of the DNS servers is installed: scripts/test installs them, as root on Debian")
    authority = [f"{block}.0.2"] + ["::1"] * ("unbound ipv6" in CASES)
    for name, (file, text) in FILES.items():
        if name in chosen:
            chosen[name].folder.mkdir()
            (chosen[name].folder / file).write_text(text)
    started = {name: (SOFTWARE[CASES[name].software], s) for name, s in chosen.items()}
    with alone(), Root(f"{block}.0.1", ZONE, authority), running(started) as servers:
        (folder / "delegated").mkdir()
        (folder / "known").mkdir()
        zone = f'name = "{ZONE}"\nauthority = {authority}\ncontrol = ["{CONTROL}"]'
        told = measured(write_plan(folder / "delegated", chosen, zone))
        by_name = measured(
            write_plan(folder / "known", chosen, f'known = "{KNOWN}"\nanswer = ["{KNOWN_ADDRESS}"]')
        )
        names = {s.address: name for name, s in chosen.items()}
        yield World(
            servers,
            {names[row["target"]]: row for row in told["verdict"]},
            {names[row["target"]]: row for row in by_name["verdict"]},
            told["sighting"],
            told["reply"],
        )


@pytest.mark.parametrize("name", CASES)
def test_each_server_is_seen_as_what_it_is(world: World, name: str) -> None:
    server, case, row = world.of(name), CASES[name], world.verdicts[name]
    found = (row["class"], row["subclass"])
    assert found == case.expected, f"{row['why']}\n{server.told()}"
    assert row["egress"] == (world.address(case.egress) if case.egress else None)
    assert row["open"] == bool(case.egress)


@pytest.mark.parametrize("name", CASES)
def test_each_server_is_seen_by_a_known_name(world: World, name: str) -> None:
    server, row = world.of(name), world.known[name]
    assert (row["class"], row["subclass"]) == (CASES[name].known, None), f"{row['why']}\n{server.told()}"
    assert "authority" not in row["why"], "there is none that could have been asked"


@pytest.mark.parametrize("name", RESOLVERS)
def test_a_resolver_comes_by_minimised_names(world: World, name: str) -> None:
    """RFC 9156: it asks for `<run>.<zone>` first, by A or NS, and must not hear that there is nothing below."""
    seen = world.seen(name)
    (run_label,) = {s["run"] for s in seen if s["run"] is not None}
    short = [s["rcode"] for s in seen if s["qname"].lower() == f"{run_label}.{ZONE}"]
    assert short
    assert set(short) == {0}


@pytest.mark.parametrize("name", ["unbound 0x20", "knot resolver"])
def test_a_resolver_that_mixes_case_gets_its_case_back(world: World, name: str) -> None:
    """It believes no other answer: a name that came back changed would be asked for again, in lower case."""
    sweep = [s for s in world.seen(name) if s["target"] == world.address(name) and s["kind"] == "sweep"]
    assert {s["mixed_case"] for s in sweep} == {True}
    assert not any(s["mixed_case"] for s in world.seen("bind"))


def test_a_cookie_of_ours_proves_an_asker(world: World) -> None:
    """RFC 7873: BIND learns our cookie by its first query and shows it with the next."""
    proven = [s["verified"] for s in world.seen("bind") if s["transport"] == "udp"]
    assert set(proven) == {False, True}


@pytest.mark.parametrize("name", RESOLVERS)
def test_a_resolver_fetches_what_is_large_by_tcp(world: World, name: str) -> None:
    sizes = [s for s in world.seen(name) if s["target"] == world.address(name) and s["kind"] == "size"]
    by_tcp = [s["response_bytes"] for s in sizes if s["transport"] == "tcp"]
    assert set(by_tcp) == {4000}
    told = world.reply(name, "size")
    # Unbound passes it on by UDP to whom it fits, unless told a lower `max-udp-size`; the others send him to TCP.
    assert (told["response_bytes"] == 4000) is not bool(told["flags"] & TRUNCATED)
    assert world.verdicts[name]["response_bytes"] >= told["response_bytes"]


@pytest.mark.parametrize("name", [name for name in CASES if CASES[name].egress and name != FILTERS])
def test_a_chain_of_aliases_is_followed_to_its_end(world: World, name: str) -> None:
    told = world.reply(name, "chain")
    if CASES[name].upstream == "authority":  # which tells one step at a time, to be resolved further
        assert (told["records"], told["answers"]) == (1, 0)
        return
    assert told["control"], world.of(name).told()
    assert told["records"] - told["answers"] == 3


@pytest.mark.parametrize("name", ["bind dns64", "unbound dns64"])
def test_dns64_is_at_work_all_the_while(world: World, name: str) -> None:
    server = world.of(name).setting
    query = dns.message.make_query(KNOWN, "AAAA")
    response = dns.query.udp(query, server.address, PATIENCE_S, server.port)
    assert "64:ff9b::c612:2c2c" in str(response.answer[-1])


def test_no_reply_of_a_real_server_is_a_stray(world: World) -> None:
    assert {reply["outcome"] for reply in world.replies} == {"answered"}
