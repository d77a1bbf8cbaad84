"""Requests over connections that are kept open: HTTP/1.1 on TLS, with little work a request.

The official client spends a millisecond of processor time on each request, five times what a create
of a Job costs here, and that is what bounds how many Jobs a second an engine starts. It still reads
the kubeconfig, signs in, and does what is rare: watches, and everything through a proxy.
"""

from __future__ import annotations

import re
import select
import socket
import ssl
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, cast
from urllib.parse import quote, urlsplit

from kubernetes import client
from urllib3.util.ssl_ import create_urllib3_context

CONNECT_SECONDS = 5.0
BUFFER_BYTES = 65_536
_LINE_BYTES_MAX = 65_536
_HEADERS_MAX = 200
_INFORMATIONAL = range(100, 200)
_NO_CONTENT = frozenset({204, 304})
_STATUS = re.compile(rb"(HTTP/1\.[01]) +(\d{3})\b")
_NOT_SAFE = re.compile(r"[^!-~]")
_SAFE = "/%:=&?~!$'()*+,;@"


class ProtocolError(OSError):
    """The server did not answer as HTTP/1.1 asks for."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer; names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class Wire:
    """Connections to one server; may be used from several threads.

    kept: how many connections are kept open while nobody uses them.
    """

    def __init__(self, settings: client.Configuration, kept: int) -> None:
        split = urlsplit(settings.host)
        self._host = split.hostname or ""
        self._port = split.port or 443
        self._base = split.path.rstrip("/")
        self._named = split.netloc.rpartition("@")[2]
        self._server_name: str = settings.tls_server_name or self._host
        self._settings = settings
        self._context: ssl.SSLContext | None = None
        self._idle: deque[Connection] = deque(maxlen=max(1, kept))

    @staticmethod
    def can_reach(settings: client.Configuration) -> bool:
        """Whether a server is one for these connections: by TLS, checked, and through no proxy."""
        return bool(
            settings.host.startswith("https://")
            and settings.verify_ssl
            and settings.assert_hostname is None
            and not settings.proxy
        )

    def request(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | None,
        seconds: float,
        most_bytes: int,
    ) -> Answer:
        """Return the answer to a request; target: path and query.

        seconds: that the server may be silent. most_bytes: of an answer's content.

        Raises:
            OSError: when there is no answer, or none that can be read.
        """
        connection = self._open(seconds)
        kept = False
        try:
            connection.send(self._head(method, target, headers, body) + (body or b""), seconds)
            answer, kept = connection.answer(method, most_bytes)
        finally:
            if kept:
                self._give_back(connection)
            else:
                connection.close()
        return answer

    def close(self) -> None:
        """Close the connections that nobody uses."""
        while self._idle:
            self._idle.pop().close()

    def _open(self, seconds: float) -> Connection:
        """Return a connection that is open, the one used last where one is idle."""
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                break
            if connection.is_usable():
                return connection
            connection.close()
        if self._context is None:
            self._context = _context(self._settings)
        address = (self._host, self._port)
        raw = socket.create_connection(address, min(CONNECT_SECONDS, seconds))
        try:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return Connection(self._context.wrap_socket(raw, server_hostname=self._server_name))
        except BaseException:
            raw.close()
            raise

    def _give_back(self, connection: Connection) -> None:
        if len(self._idle) == self._idle.maxlen:
            connection.close()
        else:
            self._idle.append(connection)

    def _head(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | None
    ) -> bytes:
        if _NOT_SAFE.search(target):
            target = quote(target, safe=_SAFE)
        lines = [f"{method} {self._base}{target} HTTP/1.1", f"Host: {self._named}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        if any("\r" in line or "\n" in line for line in lines):
            raise ProtocolError("a header of the request has a line break in it")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


class Connection:
    """One connection, for one thread at a time."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._file = cast("IO[bytes]", connected.makefile("rb", BUFFER_BYTES))

    def is_usable(self) -> bool:
        """Whether nothing came since the last answer: a server that closes tells so."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return not poll.poll(0)

    def send(self, request: bytes, seconds: float) -> None:
        """Send a request; the answer may take so long."""
        self._socket.settimeout(seconds)
        self._socket.sendall(request)

    def answer(self, method: str, most_bytes: int) -> tuple[Answer, bool]:
        """Return the answer, and whether the connection can be used again."""
        status = _INFORMATIONAL.start
        while status in _INFORMATIONAL:
            version, status = self._status()
            headers = self._headers()
        told = headers.get("content-length", "")
        kept = version == b"HTTP/1.1" and headers.get("connection", "").lower() != "close"
        if method == "HEAD" or status in _NO_CONTENT:
            content = b""
        elif headers.get("transfer-encoding", "").lower() == "chunked":
            content = self._chunks(most_bytes)
        elif told:
            content = self._exactly(_number(told, 10), most_bytes)
        else:
            content, kept = self._file.read(most_bytes), False
        return Answer(status, headers, content), kept

    def close(self) -> None:
        """Close it."""
        self._file.close()
        self._socket.close()

    def _status(self) -> tuple[bytes, int]:
        line = self._file.readline(_LINE_BYTES_MAX)
        if not line:
            raise ConnectionResetError("the server closed the connection without an answer")
        found = _STATUS.match(line)
        if found is None:
            raise ProtocolError(f"the server does not speak HTTP/1.1: {line[:80]!r}")
        return found[1], int(found[2])

    def _headers(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for _ in range(_HEADERS_MAX):
            line = self._file.readline(_LINE_BYTES_MAX)
            if line in {b"\r\n", b"\n"}:
                return found
            name, colon, value = line.decode("latin-1").partition(":")
            if not colon or not line.endswith(b"\n"):
                break
            found[name.strip().lower()] = value.strip()
        raise ProtocolError("the headers of the answer cannot be read")

    def _chunks(self, most_bytes: int) -> bytes:
        parts: list[bytes] = []
        left = most_bytes
        while True:
            line = self._file.readline(_LINE_BYTES_MAX)
            size = _number(line.partition(b";")[0].strip().decode("latin-1"), 16)
            if not size:
                self._headers()  # trailers
                return b"".join(parts)
            parts.append(self._exactly(size, left))
            left -= size
            if self._file.readline(_LINE_BYTES_MAX) not in {b"\r\n", b"\n"}:
                raise ProtocolError("a chunk of the answer is longer than it says")

    def _exactly(self, size: int, most_bytes: int) -> bytes:
        if size > most_bytes:
            raise ProtocolError(f"the answer is larger than {most_bytes} bytes")
        content = self._file.read(size)
        if len(content) < size:
            raise ConnectionResetError("the server closed the connection within its answer")
        return content


def _number(text: str, base: int) -> int:
    try:
        number = int(text, base)
    except ValueError:
        number = -1
    if number < 0:
        raise ProtocolError(f"the answer has the size {text[:80]!r}")
    return number


def _context(settings: client.Configuration) -> ssl.SSLContext:
    """Return how the server is checked, and how we show who we are."""
    context = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED)
    context.check_hostname = True
    data = settings.ca_cert_data
    if settings.ssl_ca_cert or data:
        context.load_verify_locations(cafile=settings.ssl_ca_cert or None, cadata=data or None)
    else:
        context.load_default_certs()
    if settings.cert_file:
        context.load_cert_chain(settings.cert_file, settings.key_file or None)
    return context
