"""Server processes: started, waited for until they answer, ended, their logs kept."""

import select
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

import dns.message

from tests.servers.relay import Relay
from tests.servers.software import FRIEND, Setting, Software

START_S = 60.0  # a failing start's wait; one that works ends it
END_S = 10.0
ASK_AGAIN_S = 0.1
LOG = "log"
LOG_LINES = 40


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answers."""

    setting: Setting
    process: subprocess.Popen[bytes]

    def told(self) -> str:
        """The end of its log, for an assertion's message."""
        lines = (self.setting.folder / LOG).read_text(errors="replace").splitlines()
        kept = "\n".join(lines[-LOG_LINES:])
        return f"{kept}\n-- configuration and log: {self.setting.folder}"


@contextmanager
def running(wanted: Mapping[str, tuple[Software, Setting]]) -> Iterator[dict[str, Running]]:
    """Start every server, wait until each answers, and end them all with the block."""
    started: dict[str, Running] = {}
    relays = ExitStack()
    try:
        for name, (software, setting) in wanted.items():
            setting.folder.mkdir(parents=True, exist_ok=True)
            if software.relayed:
                relays.enter_context(Relay((setting.address, setting.port), setting.inner))
            with (setting.folder / LOG).open("wb") as log:
                process = subprocess.Popen(
                    [str(software.path), *software.arguments(setting)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    cwd=setting.folder,
                )
            started[name] = Running(setting, process)
        _wait_until_answering(started)
        yield started
    finally:
        for one in started.values():
            one.process.terminate()
        for one in started.values():
            with suppress(subprocess.TimeoutExpired):
                one.process.wait(END_S)
            if one.process.poll() is None:
                one.process.kill()
                one.process.wait()
        relays.close()


def _wait_until_answering(started: Mapping[str, Running]) -> None:
    """Ask all for version.bind, which nobody forwards, from an address that nobody refuses."""
    query = dns.message.make_query("version.bind", "TXT", "CH").to_wire()
    waiting = {(s.setting.address, s.setting.port): name for name, s in started.items()}
    give_up = time.monotonic() + START_S
    four = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    six = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    with four, six:
        four.bind((FRIEND, 0))
        while waiting:
            for address, port in waiting:
                (six if ":" in address else four).sendto(query, (address, port))
            ask_again = time.monotonic() + ASK_AGAIN_S
            while waiting and (left := ask_again - time.monotonic()) > 0:
                for ready in select.select([four, six], [], [], left)[0]:
                    waiting.pop(ready.recvfrom(4096)[1][:2], None)
            for name in waiting.values():
                ended = started[name].process.poll()
                assert ended is None, f"{name} ended with {ended}:\n{started[name].told()}"
                late = time.monotonic() > give_up
                assert not late, f"{name} did not answer in {START_S} s:\n{started[name].told()}"
