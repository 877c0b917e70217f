"""The server: a socket of ours, TLS where files are given, and an end that says nothing."""

import os
import socket
import ssl
import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

import uvicorn

from dnsonde.errors import SystemRefusal, UsageError
from dnsonde.net.refusal import refusal
from dnsonde.utf8 import NotUtf8Error, text_of
from dnsonde.web._app import application
from dnsonde.web._patience import Patience
from dnsonde.web._site import Site, new_token

TOKEN_LEAST = 16  # characters
BACKLOG = 128
AT_ONCE = 64  # connections; more are told to come back
HEADER_OCTETS = 16_384
IDLE_S, LEAVE_S = 15, 2


@dataclass(frozen=True, slots=True)
class Place:
    """Where to listen; names: by which others know this machine; certificate, key: files in PEM, for TLS."""

    address: str = "127.0.0.1"
    port: int = 8053
    names: tuple[str, ...] = ()
    certificate: Path | None = None
    key: Path | None = None

    @property
    def ip(self) -> IPv4Address | IPv6Address:
        """The address; UsageError where it is none."""
        try:
            return ip_address(self.address)
        except ValueError:
            raise UsageError(
                f"--listen takes an address, such as 127.0.0.1 or ::, not {self.address!r}"
            ) from None

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can ask."""
        return self.ip.is_loopback


def token_of(path: Path | None) -> str:
    """The token in a file, or a new one. UsageError where it is too short, SystemRefusal where it cannot be read."""
    if path is None:
        return new_token()
    try:
        token = text_of(path.read_bytes()).strip()
    except NotUtf8Error as error:
        raise SystemRefusal(f"{path} {error}") from None
    except OSError as error:
        raise SystemRefusal(
            f"{path} cannot be read ({error.strerror}): name a file with the token in it"
        ) from error
    if len(token) < TOKEN_LEAST or not token.isprintable() or not token.isascii():
        raise UsageError(
            f"the token in {path} must have {TOKEN_LEAST} printable ASCII characters or more, in one line: "
            f"`openssl rand -hex 32 > {path}` makes a good one"
        )
    return token


def serve(site: Site, place: Place, say: Callable[[str], None], ready: Callable[[str], None]) -> None:
    """Serve until Ctrl-C or SIGTERM; `ready` is told the address without a token once it can be asked for."""
    context = _tls(place)
    listening = _listen(place)
    config = uvicorn.Config(
        application(site, place.names),
        http=Patience,
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=AT_ONCE,
        h11_max_incomplete_event_size=HEADER_OCTETS,
        timeout_keep_alive=IDLE_S,
        timeout_graceful_shutdown=LEAVE_S,
    )
    config.load()
    config.ssl = context
    if not place.is_loopback and context is None:
        say("Note: without --certificate and --key whoever is on the way reads along, the token too.")
    ready(_address(place, listening.getsockname()[1], tls=context is not None))
    with suppress(KeyboardInterrupt), listening:
        uvicorn.Server(config).run(sockets=[listening])


def readable_by_others(path: Path) -> bool:
    """Whether others than its owner may read a file."""
    return bool(path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH)) if path.exists() else False


def _tls(place: Place) -> ssl.SSLContext | None:
    if (place.certificate is None) != (place.key is None):
        raise UsageError("--certificate and --key belong together: name both files, in PEM")
    if place.certificate is None or place.key is None:
        return None
    for path in (place.certificate, place.key):
        if not os.access(path, os.R_OK):
            raise SystemRefusal(f"{path} cannot be read: name a file that this user may read")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(place.certificate, place.key, password=_no_password)
    except (ssl.SSLError, ValueError, OSError) as error:
        raise UsageError(
            f"{place.certificate} and {place.key} are no certificate (PEM) and its key, without a password: {error}"
        ) from error
    return context


def _no_password() -> str:
    raise ValueError("the key has a password")


def _listen(place: Place) -> socket.socket:
    family = socket.AF_INET if place.ip.version == 4 else socket.AF_INET6
    try:
        listening = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise refusal(error, "tcp", place.address, place.port) from error
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((place.address, place.port))
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise refusal(error, "tcp", place.address, place.port) from error
    return listening


def _address(place: Place, port: int, *, tls: bool) -> str:
    host: str = place.names[0] if place.names else place.address
    if not place.names and place.ip.is_unspecified:
        host = _own_address(place.ip.version)
    if ":" in host:
        host = f"[{host}]"
    return f"http{'s' if tls else ''}://{host}:{port}/"


def _own_address(version: int) -> str:
    """The address that this machine has towards the Internet; nothing is sent to learn it."""
    family, far = (socket.AF_INET, "192.0.2.1") if version == 4 else (socket.AF_INET6, "2001:db8::1")
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as test:
            test.connect((far, 9))
            return str(test.getsockname()[0])
    except OSError:
        return "127.0.0.1" if version == 4 else "::1"
