"""Asks a model server over connections that are kept, and says what may be asked again."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import urlsplit

import httptools

CONNECT_SECONDS = 2.0
IDLE_MAX = 64
_HOP = frozenset({b"connection", b"keep-alive", b"transfer-encoding", b"content-length"})


class NotSentError(Exception):
    """The server could not be reached: it has seen nothing of the request."""


class LostError(Exception):
    """The connection ended before an answer began: the server may have seen the request."""


class BrokenError(Exception):
    """The connection ended, or nonsense came, in the middle of an answer."""


@dataclass(slots=True)
class Answer:
    """A whole answer. headers: without those of the connection."""

    status: int = 0
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytearray = field(default_factory=bytearray)


class Connection(asyncio.Protocol):
    """One connection to a server; one request at a time."""

    def __init__(self) -> None:
        self.is_open = True
        self.is_reused = False
        self._transport: asyncio.Transport | None = None
        self._answer = Answer()
        self._parser = httptools.HttpResponseParser(self)
        self._done: asyncio.Future[Answer] | None = None
        self._has_begun = False
        self._stays = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; uvloop's is no `asyncio.Transport` but has its methods."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Take a part of the answer."""
        self._has_begun = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(BrokenError(f"the server answers nonsense: {error}"))
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's form
        """End the request that waits."""
        self.is_open = False
        if self._has_begun:
            self._fail(BrokenError("the answer was cut off"))
        else:
            self._fail(LostError("the server closed the connection"))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header."""
        lower = name.lower()
        if lower not in _HOP:
            self._answer.headers.append((lower, value))

    def on_body(self, body: bytes) -> None:
        """Keep a part of the body."""
        self._answer.body += body

    def on_message_complete(self) -> None:
        """Hand over the answer."""
        self._answer.status = self._parser.get_status_code()
        self._stays = self._parser.should_keep_alive()
        if self._done is not None and not self._done.done():
            self._done.set_result(self._answer)

    async def ask(self, data: bytes) -> Answer:
        """Send a request and return its answer.

        Raises:
            LostError: when the connection ends before an answer began.
            BrokenError: when it ends within one.
        """
        if self._transport is None or not self.is_open:
            raise LostError("the connection was closed")
        self._answer = Answer()
        self._parser = httptools.HttpResponseParser(self)
        self._has_begun = False
        self._done = asyncio.get_running_loop().create_future()
        self._transport.write(data)
        answer = await self._done
        if not self._stays:
            self.close()
        return answer

    def close(self) -> None:
        """Close the connection."""
        self.is_open = False
        if self._transport is not None:
            self._transport.close()

    def _fail(self, error: Exception) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_exception(error)


@dataclass(slots=True, eq=False)
class Upstream:
    """One server, with the connections that are idle. Used by the thread of the event loop."""

    url: str
    open_requests: int = 0
    _idle: list[Connection] = field(default_factory=list)
    _is_closed: bool = False

    async def ask(self, data: bytes) -> Answer:
        """Send a request on an idle connection, or on a new one.

        Raises:
            NotSentError: when no connection can be opened.
            LostError: when the connection ends before an answer began.
            BrokenError: when it ends within one.
        """
        self.open_requests += 1
        connection: Connection | None = None
        try:
            connection = self._kept() or await self._opened()
            answer = await connection.ask(data)
        except BaseException:
            # Also when the caller gives up: what comes later belongs to nobody.
            if connection is not None:
                connection.close()
            raise
        finally:
            self.open_requests -= 1
        if connection.is_open and not self._is_closed and len(self._idle) < IDLE_MAX:
            self._idle.append(connection)
        else:
            connection.close()
        return answer

    def close(self) -> None:
        """Close the connections that are idle, and keep none from now on."""
        self._is_closed = True
        while self._idle:
            self._idle.pop().close()

    def _kept(self) -> Connection | None:
        while self._idle:
            found = self._idle.pop()
            if found.is_open:
                return found
        return None

    async def _opened(self) -> Connection:
        address = urlsplit(self.url)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                _, connection = await loop.create_connection(
                    Connection, str(address.hostname), address.port or 80
                )
        except (OSError, TimeoutError) as error:
            raise NotSentError(f"{self.url} cannot be reached: {error}") from error
        return connection


@dataclass(slots=True)
class Upstreams:
    """The servers that were asked, by base URL."""

    known: dict[str, Upstream] = field(default_factory=dict)

    def get(self, url: str) -> Upstream:
        """Return a server."""
        return self.known.setdefault(url, Upstream(url))

    def keep(self, urls: set[str]) -> None:
        """Forget servers that serve nothing any more; their open requests go on."""
        for url in self.known.keys() - urls:
            with contextlib.suppress(KeyError):
                self.known.pop(url).close()
