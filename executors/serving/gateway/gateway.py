"""The gateway as an ASGI application: finds the model's server, asks it, and asks again where safe.

Inference and questions change nothing, so they may be asked again until an answer has come whole:
of another server, or of the same model where it serves next. What else there is (labels) is sent
again only when nobody has seen it. While a model is moved its requests wait, a bounded number of
them for a bounded time; the rest is turned away with `Retry-After`.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote, unquote

from starlette.types import Receive, Scope, Send

from executors.serving.gateway import metrics
from executors.serving.gateway.table import Table
from executors.serving.gateway.upstream import (
    Answer,
    BrokenError,
    LostError,
    NotSentError,
    Upstream,
    Upstreams,
)
from executors.serving.runtime.faults import RequestError, busy, not_found
from executors.serving.tracing import Span, Tracer
from executors.serving.tracing import context as tracing_context
from executors.serving.v2 import documents
from executors.serving.v2.application import read_body, refusal, timeout_of
from executors.serving.v2.metrics import CONTENT_TYPE

_MODELS = "/v2/models/"
_INFER = "/infer"
_READY = "/ready"
_UNAVAILABLE = 503
_FAILED = 500
_NANO = 1e9
_TRACE = tracing_context.HEADER.encode()
_TRIES_MAX = 10_000
_LOOK_SECONDS = 0.25
"""How long a request waits for news before it tries again what is known."""
_REFUSALS_MAX = 8
"""Answers 503 of a server that is up after which the client is told."""
_LOSSES_MAX = 3
"""Servers that a request may lose: it might be what ends them."""
_GONE_SECONDS = 5.0
"""How long a server that serves nothing any more is waited for; it lets open requests finish."""
_NOT_SENT_ON = frozenset({
    b"connection", b"content-length", b"expect", b"host", b"keep-alive", b"proxy-authorization",
    b"te", b"trailer", b"transfer-encoding", b"upgrade",
})  # fmt: skip
_JSON = [(b"content-type", b"application/json")]
SERVER: Mapping[str, object] = {"name": "berth-gateway", "version": "", "extensions": []}
"""What the gateway says of itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of the gateway.

    open_max: requests at once of one model. waiting_max: of those, requests that wait while it
    serves nowhere. wait_seconds: how long they wait; a request's own deadline goes before.
    """

    body_bytes_max: int = 64 << 20
    open_max: int = 2048
    waiting_max: int = 1024
    wait_seconds: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A request to a model. rest: of its path, behind the model's name. Header names are small."""

    model: str
    rest: str
    method: str
    path: str
    query: bytes = b""
    headers: Sequence[tuple[bytes, bytes]] = ()
    body: bytes = b""

    @property
    def may_repeat(self) -> bool:
        """Whether it may be asked again when it may have arrived."""
        return self.method == "GET" or f"/{self.rest}".endswith(_INFER)

    @property
    def may_wait(self) -> bool:
        """Whether it waits while its model is being moved: that is the answer to "is it ready"."""
        return not f"/{self.rest}".endswith(_READY)


@dataclass(slots=True, kw_only=True, eq=False)
class Gateway:
    """Answers for all models of a table. Used by the thread of the event loop."""

    table: Table
    limits: Limits = field(default_factory=Limits)
    metrics: metrics.Metrics = field(default_factory=metrics.Metrics)
    upstreams: Upstreams = field(default_factory=Upstreams)
    draining: bool = False
    tracer: Tracer | None = None
    _open: Counter[str] = field(default_factory=Counter)
    _waiting: Counter[str] = field(default_factory=Counter)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        path: str = scope["path"]
        if path.startswith(_MODELS):
            found = await self._model(scope, receive)
        else:
            found = self._own(scope["method"], path)
        headers = [*found.headers, (b"content-length", str(len(found.body)).encode())]
        await send({"type": "http.response.start", "status": found.status, "headers": headers})
        await send({"type": "http.response.body", "body": bytes(found.body)})

    @property
    def is_ready(self) -> bool:
        """Whether it knows what serves, and goes on to answer."""
        return not self.draining and self.table.refreshes > 0

    def index(self) -> list[dict[str, str]]:
        """Return the models that the engine has, as the protocol lists them."""
        return [
            {"name": name, "version": "", "state": "READY" if urls else "UNAVAILABLE",
             "reason": "" if urls else "it is being moved"}
            for name, urls in sorted(self.table.known.items())
        ]  # fmt: skip

    def _own(self, method: str, path: str) -> Answer:
        """Return what the gateway says of itself."""
        if path == "/metrics":
            waiting = sum(self._waiting.values())
            page = self.metrics.page(
                self.table, open_requests=sum(self._open.values()), waiting=waiting
            )
            return Answer(200, [(b"content-type", CONTENT_TYPE.encode())], bytearray(page.encode()))
        if path == "/v2/health/live":
            return _document(200, {"live": True})
        if path == "/v2/health/ready":
            return _document(200 if self.is_ready else _UNAVAILABLE, {"ready": self.is_ready})
        if path == "/v2":
            return _document(200, SERVER)
        if path == "/v2/repository/index" and method == "POST":
            return _document(200, self.index())
        message = f"{method} {path} is not the gateway's: ask the engine, or the model's server"
        return _refused(not_found(message))

    async def _model(self, scope: Scope, receive: Receive) -> Answer:
        """Answer a request to a model."""
        began = time.monotonic()
        name, _, rest = scope["path"][len(_MODELS) :].partition("/")
        headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]}
        try:
            # Read first: an answer before the body is whole would end the client's connection.
            body = await read_body(receive, _as_it_is(headers), self.limits.body_bytes_max)
        except RequestError as error:
            self.metrics.count("", error.status, time.monotonic() - began)
            return _refused(error)
        question = Question(
            model=unquote(name),
            rest=rest,
            method=scope["method"],
            path=scope["path"],
            query=scope["query_string"],
            headers=scope["headers"],
            body=body,
        )
        return await self.answer(question, headers, began)

    async def answer(self, question: Question, headers: Mapping[str, str], began: float) -> Answer:
        """Return the answer of a model's server, or why there is none, with its HTTP status.

        headers: of the question, as text. began: when it came, by the monotonic clock.
        """
        name, counted, span = question.model, "", None
        try:
            await self._known(name)
            counted = name
            self._enter(name)
            try:
                wait = min(self.limits.wait_seconds, timeout_of(headers))
                if self.tracer is not None:
                    span = self.tracer.begin(f"gateway {name}", headers, int(began * _NANO))
                found = await self._asked(question, span, began + wait)
            finally:
                self._open[name] -= 1
        except RequestError as error:
            found = _refused(error)
        if span is not None:
            span.attributes |= {"model.name": name, "http.response.status_code": found.status}
            span.end(f"status {found.status}" if found.status >= _FAILED else "")
        self.metrics.count(counted, found.status, time.monotonic() - began)
        return found

    async def _known(self, name: str) -> None:
        """Refuse a model that the engine does not have; it may have come just now.

        Raises:
            RequestError: when there is none.
        """
        if name not in self.table.known:
            await self.table.look_again(_LOOK_SECONDS)
        if name not in self.table.known:
            known = ", ".join(sorted(self.table.known)) or "none"
            raise not_found(f"no pipeline {name!r} serves a model; served are: {known}")

    def _enter(self, name: str) -> None:
        if self._open[name] >= self.limits.open_max:
            raise busy(f"{self.limits.open_max} requests to model {name!r} are open", 429)
        self._open[name] += 1

    async def _asked(self, question: Question, span: Span | None, end: float) -> Answer:
        """Ask until an answer has come, or time or tries are up.

        Raises:
            RequestError: when none came.
        """
        name, data = question.model, _request(question, span)
        said = "it is being moved"
        refused: list[Answer] = []
        losses = 0
        for number in range(_TRIES_MAX):
            self.metrics.retries[name] += number > 0
            upstream = self._chosen(name, number)
            if upstream is not None:
                try:
                    found = await self._answer(name, upstream, data, end)
                    if found.status != _UNAVAILABLE:
                        return found
                    refused.append(found)
                except NotSentError as error:
                    said = str(error)
                except (LostError, BrokenError) as error:
                    said = f"{upstream.url}: {error}"
                    losses += 1
                    if not question.may_repeat or losses > _LOSSES_MAX:
                        raise RequestError(f"{said}; it may have seen the request", 502) from error
                    if losses == 1:
                        continue  # most often a connection that was closed while it was idle
            left = end - time.monotonic() if question.may_wait else 0.0
            if left <= 0 or len(refused) > _REFUSALS_MAX:
                break
            await self._waited(name, min(left, _LOOK_SECONDS))
        if refused:
            return refused[-1]
        raise busy(f"model {name!r} has no server that answers: {said}", _UNAVAILABLE)

    async def _answer(self, name: str, upstream: Upstream, data: bytes, end: float) -> Answer:
        """Return a server's answer; give up on one that the model has left.

        Raises:
            RequestError: when it does not answer in time.
            NotSentError, LostError, BrokenError: as `Upstream.ask`.
        """
        asking = asyncio.create_task(upstream.ask(data))
        gone_at = float("inf")
        try:
            while not asking.done():
                now = time.monotonic()
                if now >= end:
                    raise RequestError(f"{upstream.url} did not answer in time", 504)
                if upstream.url in self.table.known.get(name, ()):
                    gone_at = float("inf")
                else:
                    gone_at = min(gone_at, now)
                if now - gone_at >= _GONE_SECONDS:
                    raise LostError("it serves the model no more, and does not answer")
                await asyncio.wait({asking}, timeout=min(end - now, 1.0))
            return asking.result()
        finally:
            asking.cancel()

    def _chosen(self, name: str, number: int) -> Upstream | None:
        """Return the server with the fewest open requests; after a failure the next one."""
        urls = self.table.known.get(name, ())
        if not urls:
            return None
        servers = sorted(map(self.upstreams.get, urls), key=lambda each: each.open_requests)
        return servers[number % len(servers)]

    async def _waited(self, name: str, seconds: float) -> None:
        """Wait for news of where a model serves.

        Raises:
            RequestError: when too many wait already.
        """
        if self._waiting[name] >= self.limits.waiting_max:
            message = f"{self.limits.waiting_max} requests wait for model {name!r} to serve"
            raise busy(message, _UNAVAILABLE)
        self._waiting[name] += 1
        self.metrics.waits[name] += 1
        try:
            await self.table.look_again(seconds)
            self.upstreams.keep({url for urls in self.table.known.values() for url in urls})
        finally:
            self._waiting[name] -= 1


def _request(question: Question, span: Span | None) -> bytes:
    """Return a request as it is sent on, without the headers of the client's connection.

    span: what the server's own span belongs to.
    """
    path = quote(question.path, safe="/:@!$&'()*+,;=~")
    target = path.encode() + (b"?" + question.query if question.query else b"")
    parts = [question.method.encode(), b" ", target, b" HTTP/1.1\r\nhost: model\r\n"]
    for name, value in question.headers:
        if name not in _NOT_SENT_ON and not (span is not None and name == _TRACE):
            parts += (name, b": ", value, b"\r\n")
    if span is not None:
        parts += (_TRACE, b": ", span.context.header.encode(), b"\r\n")
    size = str(len(question.body)).encode()
    parts += (b"content-length: ", size, b"\r\n\r\n", question.body)
    return b"".join(parts)


def _as_it_is(headers: Mapping[str, str]) -> dict[str, str]:
    """Return headers without the coding, so that a body is passed on as it came."""
    return {name: value for name, value in headers.items() if name != "content-encoding"}


def _document(status: int, value: object) -> Answer:
    return Answer(status, list(_JSON), bytearray(documents.encode(value)))


def _refused(error: RequestError) -> Answer:
    status, headers, body = refusal(error)
    kept = [(name, value) for name, value in headers if name != b"content-length"]
    return Answer(status, kept, bytearray(body))
