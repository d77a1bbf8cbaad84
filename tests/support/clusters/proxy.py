"""A proxy before an API server that does what networks and servers do on bad days.

It ends TLS with a certificate of the same authority, reads one request after the other of each
connection, and passes them on over TLS of its own, so that it can cut, delay, swallow an answer
that the server gave, hang with the connection open, or answer in the server's place.
"""

from __future__ import annotations

import asyncio
import random
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path

from tests.support.clusters import plane, programs


class Fault(Enum):
    """What is done to a request."""

    NONE = auto()
    CUT = auto()
    """The connection ends before the request arrives."""
    DROP_REPLY = auto()
    """The server does it; the answer is swallowed and the connection ends."""
    HANG = auto()
    """The request is swallowed, and the connection stays open."""


@dataclass(slots=True)
class Seen:
    """One request that arrived here."""

    at: float
    method: str
    path: str


Judge = Callable[[str, str], "Fault | int"]
"""From method and path to a fault, or to a status with which to answer."""


def calm(_method: str, _path: str) -> Fault | int:
    """Let everything pass."""
    return Fault.NONE


def storm(status: int, share: float, seed: int, methods: str = "GET POST PATCH DELETE") -> Judge:
    """Answer a share of requests with a status."""
    chance = random.Random(seed)

    def judge(method: str, _path: str) -> Fault | int:
        return status if method in methods and chance.random() < share else Fault.NONE

    return judge


@dataclass(slots=True)
class FaultProxy:
    """A proxy before a control plane, in a thread of its own.

    judge: decides on each request; may be changed at any time. hanging: nothing is passed on while
    it is set, in neither direction, and all connections stay open. retry_after: header of answers.
    user: whose certificate the server is shown, whoever asks.
    """

    made: plane.ControlPlane
    judge: Judge = calm
    hanging: bool = False
    retry_after: str = ""
    user: str = "admin"
    port: int = 0
    seen: list[Seen] = field(default_factory=list)
    _loop: asyncio.AbstractEventLoop | None = None
    _thread: threading.Thread | None = None
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def start(self) -> None:
        """Listen."""
        self.port = programs.free_port()
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), daemon=True)
        self._thread.start()
        assert ready.wait(60.0)

    def stop(self) -> None:
        """End every connection and the proxy."""
        assert self._loop is not None
        assert self._thread is not None
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(60.0)

    def kubeconfig(self, original: Path, target: Path) -> Path:
        """Write a kubeconfig that goes through the proxy."""
        text = original.read_text(encoding="utf-8")
        target.touch(mode=0o600)
        target.write_text(
            text.replace(self.made.server, f"https://127.0.0.1:{self.port}"), encoding="utf-8"
        )
        return target

    def cut_all(self) -> None:
        """End every open connection."""
        assert self._loop is not None
        for each in list(self._writers):
            self._loop.call_soon_threadsafe(each.close)

    def counted(self, method: str, part: str = "") -> int:
        """Return how many requests arrived whose path holds something."""
        return sum(each.method == method and part in each.path for each in list(self.seen))

    def _run(self, ready: threading.Event) -> None:
        self._loop = asyncio.new_event_loop()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        # Client certificates end here: the proxy presents the user's own to the server.
        context.load_cert_chain(
            self.made.folder / "apiserver.crt", self.made.folder / "apiserver.key"
        )
        self._loop.run_until_complete(
            asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=context)
        )
        ready.set()
        try:
            self._loop.run_forever()
        finally:
            for task in asyncio.all_tasks(self._loop):
                task.cancel()
            pending = asyncio.all_tasks(self._loop)
            self._loop.run_until_complete(asyncio.gather(*pending, return_exceptions=True))
            self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)  # the loop alone does not keep it
        try:
            await self._connection(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            return  # a side went away, or the proxy is stopped
        finally:
            self._writers.discard(writer)
            self._tasks.discard(task)
            writer.close()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        context = ssl.create_default_context(cafile=str(self.made.folder / "ca.crt"))
        folder = self.made.folder
        context.load_cert_chain(folder / f"{self.user}.crt", folder / f"{self.user}.key")
        upstream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                method, path, _ = head.split(b"\r\n", 1)[0].decode().split(" ", 2)
                body = await reader.readexactly(_length(head))
                self.seen.append(Seen(time.monotonic(), method, path))
                await self._thaw()
                verdict = self.judge(method, path)
                if verdict is Fault.CUT:
                    return
                if verdict is Fault.HANG:
                    await asyncio.sleep(3_600)
                if isinstance(verdict, int):
                    writer.write(self._answer(verdict))
                    await writer.drain()
                    continue
                if upstream is None:
                    upstream = await asyncio.open_connection(
                        "127.0.0.1", self.made.port, ssl=context
                    )
                upstream[1].write(head + body)
                await upstream[1].drain()
                if verdict is Fault.DROP_REPLY:
                    await upstream[0].readuntil(b"\r\n\r\n")
                    return
                await self._reply(upstream[0], writer)
        finally:
            if upstream is not None:
                upstream[1].close()

    async def _thaw(self) -> None:
        while self.hanging:
            await asyncio.sleep(0.02)

    async def _reply(self, upstream: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass one answer on, as it comes."""
        head = await upstream.readuntil(b"\r\n\r\n")
        await self._thaw()
        writer.write(head)
        await writer.drain()
        if b"transfer-encoding: chunked" not in head.lower():
            writer.write(await upstream.readexactly(_length(head)))
            await writer.drain()
            return
        while True:
            line = await upstream.readline()
            if not line:
                return  # the server went away in the middle of an answer
            size = int(line.split(b";")[0], 16)
            chunk = await upstream.readexactly(size + 2)
            await self._thaw()
            writer.write(line + chunk)
            await writer.drain()
            if size == 0:
                return

    def _answer(self, status: int) -> bytes:
        reason = {409: "Conflict", 410: "Expired", 429: "TooManyRequests"}.get(
            status, "InternalError"
        )
        body = (
            f'{{"kind":"Status","status":"Failure","code":{status},'
            f'"reason":"{reason}","message":"played: {status}"}}'
        ).encode()
        after = f"Retry-After: {self.retry_after}\r\n" if self.retry_after else ""
        head = (
            f"HTTP/1.1 {status} Played\r\nContent-Type: application/json\r\n{after}"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 0
