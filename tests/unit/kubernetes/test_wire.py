"""Requests over kept connections: which connections are used again, and what is no answer."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from kubernetes import client

from executors.kubernetes.wire import ProtocolError, Wire
from tests.support.clusters import certificates
from tests.support.faces import until

SECONDS = 60.0
"""That the server may be silent: it is a thread of this process, which may be a busy one."""
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class Server:
    """Answers each request over TLS with its first line, and counts connections.

    told: what it answers instead, before it closes.
    """

    def __init__(self, folder: Path) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "server.crt", folder / "server.key")
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._context = context
        self.port = self._socket.getsockname()[1]
        self.connections = 0
        self.closes = False
        self.told: bytes | None = None
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            raw, _ = self._socket.accept()
            try:
                with self._context.wrap_socket(raw, server_side=True) as connected:
                    self.connections += 1
                    if not self._answer(connected):
                        return
            except OSError:
                continue

    def _answer(self, connected: ssl.SSLSocket) -> bool:
        file = connected.makefile("rb")
        while line := file.readline().strip():
            if b"STOP" in line:
                return False
            size = 0
            while header := file.readline().strip():
                if header.startswith(b"Content-Length"):
                    size = int(header.split(b":")[1])
            line += file.read(size)
            if self.told is not None:
                connected.sendall(self.told)
                return True
            connected.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(line) + line)
            if self.closes:
                return True
        return True

    def stop(self, wire: Wire) -> None:
        """End the thread."""
        self.closes = True
        self.told = None
        wire.close()
        with pytest.raises(OSError, match="without response"):
            wire.request("STOP", "/", {}, None, SECONDS, 1_000)
        self._thread.join()
        self._socket.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("keys")
    certificates.authority(made)
    certificates.authority(made, "other")
    certificates.issue(made, "server", "/CN=server", names="IP:127.0.0.1")
    return made


def settings(folder: Path, server: Server, authority: str = "ca") -> client.Configuration:
    made = client.Configuration()
    made.host = f"https://127.0.0.1:{server.port}/c-1"
    made.ssl_ca_cert = str(folder / f"{authority}.crt")
    return made


@pytest.fixture
def server(folder: Path) -> Iterator[Server]:
    made = Server(folder)
    yield made
    made.stop(Wire(settings(folder, made), 1))


@pytest.fixture
def wire(folder: Path, server: Server) -> Iterator[Wire]:
    made = Wire(settings(folder, server), 2)
    yield made
    made.close()


def ask(wire: Wire, target: str = "/jobs", body: bytes | None = None) -> bytes:
    return wire.request("POST", target, {"A": "b"}, body, SECONDS, 1_000).content


def test_requests_share_a_connection_below_the_path_of_the_cluster(
    server: Server, wire: Wire
) -> None:
    assert ask(wire) == b"POST /c-1/jobs HTTP/1.1"
    assert ask(wire, "/a b", b"{}") == b"POST /c-1/a%20b HTTP/1.1{}"
    assert server.connections == 1


def test_a_connection_that_the_server_closed_is_not_used_again(server: Server, wire: Wire) -> None:
    server.closes = True
    ask(wire)
    until(lambda: not wire._idle[-1].is_usable())  # the server closes after it has answered
    ask(wire)
    assert server.connections == 2


def test_names_of_headers_are_told_in_lower_case(server: Server, wire: Wire) -> None:
    server.told = b"HTTP/1.1 429 Slow\r\nRetry-After: 3\r\nContent-Length: 0\r\n\r\n"
    answer = wire.request("GET", "/", {}, None, SECONDS, 1_000)
    assert (answer.status, answer.headers["retry-after"]) == (429, "3")


@pytest.mark.parametrize(
    ("told", "message"),
    [
        (b"", "without response"),
        (b"SSH-2.0-OpenSSH\r\n", "BadStatusLine"),
        (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 300 + b"\r\n", "more than 100 headers"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", "IncompleteRead"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n" + b"a" * 9999, "larger than 1000"),
        (CHUNKED + b"900\r\n" + b"a" * 0x900 + b"\r\n0\r\n\r\n", "larger than 1000 bytes"),
        (CHUNKED + b"x\r\n", "IncompleteRead"),
    ],
)
def test_what_is_no_answer_is_an_error_of_the_connection(
    server: Server, wire: Wire, told: bytes, message: str
) -> None:
    server.told = told
    with pytest.raises(OSError, match=message):
        ask(wire)
    server.told = None
    assert ask(wire) == b"POST /c-1/jobs HTTP/1.1"
    assert server.connections == 2, "a connection that failed is not used again"


def test_a_server_of_another_authority_is_not_spoken_to(folder: Path, server: Server) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        ask(Wire(settings(folder, server, "other"), 1))
    assert server.connections == 0


def test_a_header_cannot_smuggle_another_one(wire: Wire) -> None:
    with pytest.raises(ProtocolError, match="Invalid header"):
        wire.request("GET", "/", {"A": "b\r\nC: d"}, None, SECONDS, 1_000)


def test_proxies_and_unchecked_servers_are_left_to_the_library() -> None:
    made = client.Configuration()
    made.host, made.proxy = "https://127.0.0.1", None
    assert Wire.can_reach(made)
    for name, value in (
        ("proxy", "http://127.0.0.1:1"),
        ("verify_ssl", False),
        ("host", "http://127.0.0.1"),
    ):
        other = client.Configuration()
        other.host, other.proxy = made.host, None
        setattr(other, name, value)
        assert not Wire.can_reach(other)
