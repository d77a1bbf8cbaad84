"""Requests over connections that are kept open, with little work a request.

The official client spends half a millisecond of processor time on each request, twice what Python's
own `http.client` does, and that bounds how many Jobs a second an engine starts. It still reads the
kubeconfig, signs in, and does what is rare: watches, and everything through a proxy.
"""

from __future__ import annotations

import http.client
import select
import ssl
import weakref
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from kubernetes import client
from urllib3.util.ssl_ import create_urllib3_context

CONNECT_SECONDS = 5.0
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
        self._idle: deque[_Connection] = deque(maxlen=max(1, kept))
        weakref.finalize(self, _close, self._idle)

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
        is_whole = False
        try:
            answer = connection.ask(
                method, f"{self._base}{quote(target, safe=_SAFE)}", headers, body, most_bytes
            )
            is_whole = True
        except (http.client.HTTPException, ValueError) as error:
            # Of http.client's own errors only some are ones of the operating system.
            raise ProtocolError(f"there is no answer of HTTP/1.1: {error!r}") from error
        finally:
            if is_whole and connection.sock is not None:
                self._give_back(connection)
            else:
                connection.close()
        return answer

    def close(self) -> None:
        """Close the connections that nobody uses."""
        _close(self._idle)

    def _open(self, seconds: float) -> _Connection:
        """Return a connection that is open, the one used last where one is idle."""
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                break
            if connection.is_usable():
                connection.allow(seconds)
                return connection
            connection.close()
        if self._context is None:
            self._context = _context(self._settings)
        made = _Connection(self._host, self._port, self._context, self._named, self._server_name)
        made.timeout = min(CONNECT_SECONDS, seconds)
        try:
            made.connect()
            made.allow(seconds)
        except BaseException:
            made.close()
            raise
        return made

    def _give_back(self, connection: _Connection) -> None:
        if len(self._idle) == self._idle.maxlen:
            connection.close()
        else:
            self._idle.append(connection)


class _Connection(http.client.HTTPConnection):
    """One connection, for one thread at a time.

    named: what the header `Host` says; server_name: whom the server's certificate must be of.
    """

    def __init__(
        self, host: str, port: int, context: ssl.SSLContext, named: str, server_name: str
    ) -> None:
        super().__init__(host, port)
        self._checked_by = context
        self._named = named
        self._server_name = server_name

    def connect(self) -> None:
        """Connect, and check the server."""
        super().connect()
        self.sock = self._checked_by.wrap_socket(self.sock, server_hostname=self._server_name)

    def is_usable(self) -> bool:
        """Whether nothing came since the last answer: a server that closes tells so."""
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        return not poll.poll(0)

    def allow(self, seconds: float) -> None:
        """Let the server be silent for so long."""
        self.sock.settimeout(seconds)

    def ask(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, most_bytes: int
    ) -> Answer:
        """Return the whole answer."""
        self.putrequest(method, url, skip_host=True, skip_accept_encoding=True)
        self.putheader("Host", self._named)
        for name, value in headers.items():
            self.putheader(name, value)
        if body is not None:
            self.putheader("Content-Length", str(len(body)))
        self.endheaders(body)
        found = self.getresponse()
        with found:
            # Without a bound only what says how long it is: what is missing of it is an error.
            is_bounded = found.length is not None and found.length <= most_bytes
            content = found.read() if is_bounded else found.read(most_bytes)
            if not found.isclosed() and found.read(1):
                raise ProtocolError(f"the answer is larger than {most_bytes} bytes")
            told = {name.lower(): value for name, value in found.headers.items()}
            return Answer(found.status, told, content)


def _close(idle: deque[_Connection]) -> None:
    """Close connections that nobody uses, also when their owner is forgotten."""
    while idle:
        idle.pop().close()


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
