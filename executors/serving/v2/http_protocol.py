"""Uvicorn's HTTP protocol with a short way for inference.

Uvicorn makes a task, an event and a cycle of ASGI messages for every request. Inference needs none
of them: the body is read, queued for the model's next batch, and answered from there by one write.
Requests of any other kind, and those sent before their predecessor was answered, take uvicorn's
own way through the same application. A head that came before, byte for byte, is not parsed again
(`heads`).
"""

from __future__ import annotations

import asyncio
import http
import time
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from executors.serving.runtime.faults import RequestError
from executors.serving.v2 import compression, documents
from executors.serving.v2.application import (
    JSON,
    Answer,
    Application,
    answered,
    json_length,
    refusal,
    timeout_of,
)
from executors.serving.v2.heads import END, Head
from executors.serving.v2.requests import InferAnswer

_POST = b"POST"
_INFER = b"/infer"
_STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode()
    for status in http.HTTPStatus
}
_CLOSE = (b"connection", b"close")
_JSON_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"


class _Exchange:
    """One inference request on its connection, from its head to its answer."""

    __slots__ = ("began", "body", "headers", "is_done", "keep_alive", "owner", "target")

    def __init__(
        self,
        owner: InferenceProtocol,
        target: tuple[str, str],
        headers: dict[str, str],
        *,
        keep_alive: bool,
    ) -> None:
        self.owner = owner
        self.target = target
        self.keep_alive = keep_alive
        self.began = time.monotonic()
        self.headers = headers
        self.body: bytes | bytearray = b""
        self.is_done = False

    def start(self) -> None:
        """Queue the request, whose body is whole."""
        application = self.owner.inference
        service = application.service
        try:
            service.enter()
        except RequestError as error:
            self._answer(refusal(error), error.status)
            return
        try:
            headers = self.headers
            body = bytes(self.body)
            coding = headers.get("content-encoding")
            if coding:
                limit = service.limits.body_bytes_max
                body = compression.decompress(body, coding.lower(), limit)
            request = documents.read_infer(body, json_length(headers))
            service.begin(
                self.target,
                request,
                headers,
                self._reply,
                began=self.began,
                timeout_seconds=timeout_of(headers),
            )
        except RequestError as error:
            self._reply(error)
        except Exception as error:
            self._reply(RequestError(f"the server failed: {error!r}", 500))

    def refuse(self, error: RequestError) -> None:
        """Answer before the body is whole, and close the connection."""
        self.keep_alive = False
        self._answer(refusal(error), error.status)

    def _reply(self, found: InferAnswer | RequestError) -> None:
        """Answer a request that was counted in."""
        self.owner.inference.service.open_requests -= 1
        if isinstance(found, RequestError):
            self._answer(refusal(found), found.status)
            return
        try:
            body, json_size = documents.write_answer(found)
            is_plain = json_size is None and self.keep_alive
            if is_plain and (len(body) < compression.ANSWER_BYTES_MIN):
                self.is_done = True
                self.owner.inference.service.finish(self.target[0], 200, self.began)
                self.owner.write_json(body)
                return
            answer = answered(body, json_size, self.headers)
        except Exception as error:
            answer = refusal(RequestError(f"the answer cannot be written: {error!r}", 500))
        self._answer(answer, answer[0])

    def _answer(self, answer: Answer, status: int) -> None:
        self.is_done = True
        self.owner.inference.service.finish(self.target[0], status, self.began)
        self.owner.write(answer, keep_alive=self.keep_alive)


class InferenceProtocol(HttpToolsProtocol):
    """Uvicorn's protocol; its configuration holds the application as `inference`."""

    def __init__(self, *arguments: Any, **named: Any) -> None:  # noqa: ANN401 - uvicorn's own
        super().__init__(*arguments, **named)
        config: Any = self.config  # a `ServingConfig`
        self.inference: Application = config.inference
        self._exchange: _Exchange | None = None
        self._is_leaving = False
        self._is_between = True  # the parser has seen whole messages only
        self._head: bytes | None = None  # bytes of the head that the parser is given now
        self._missing = 0  # bytes of a body whose head was known
        self._idle_since = 0.0
        self._idle_timer: asyncio.TimerHandle | None = None

    @property
    def _is_open(self) -> bool:
        """Whether a request of the short way waits for its answer."""
        return self._exchange is not None and not self._exchange.is_done

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop watching."""
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what arrived: past the parser where its head is known, else through it."""
        if self._missing:
            self._more(data)
            return
        self._head = None
        if self._is_between and not self._is_open:
            end = data.find(END)
            if end > 0:
                end += len(END)
                head = data[:end]
                known = self.inference.heads.known.get(head)
                if (
                    known is not None
                    and not self._is_waiting
                    and len(data) <= end + known.body_bytes
                ):
                    self._start_known(known, data[end:])
                    return
                self._head = head
        self._idle_since = time.monotonic()
        super().data_received(data)

    def _start_known(self, known: Head, body: bytes) -> None:
        """Begin a request whose head is known, with as much of its body as has come."""
        self._unset_keepalive_if_required()
        exchange = _Exchange(self, known.target, known.headers, keep_alive=True)
        self._exchange = exchange
        self._missing = known.body_bytes - len(body)
        if self._missing:
            exchange.body = bytearray(body)
            return
        exchange.body = body
        exchange.start()

    def _more(self, data: bytes) -> None:
        """Take a further part of a body whose head was known, and what follows it."""
        exchange = self._exchange
        if exchange is None:  # cannot be: it is set with `_missing` and kept until its answer
            return
        part, rest = data[: self._missing], data[self._missing :]
        self._missing -= len(part)
        exchange.body += part
        if self._missing:
            return
        exchange.start()
        if rest:
            self.data_received(rest)

    def on_message_begin(self) -> None:
        """Note that the parser is inside a message."""
        self._is_between = False
        super().on_message_begin()

    @property
    def _is_waiting(self) -> bool:
        """Whether a request of uvicorn's own way waits for its answer."""
        cycle: Any = self.cycle  # None before the first request, whatever its type says
        return cycle is not None and not cycle.response_complete

    def on_headers_complete(self) -> None:
        """Choose the way of a request."""
        head, self._head = self._head, None
        parser: Any = self.parser  # None after the connection is lost, when nobody calls this
        if self._is_open:
            # A request before the last was answered: its answer must not overtake. Clients that
            # do so repeat what was not answered.
            self._is_leaving = True
            return
        self._exchange = None
        is_inference = parser.get_method() == _POST and self.url.endswith(_INFER)
        if self._is_waiting or not is_inference or self.expect_100_continue:
            super().on_headers_complete()
            return
        target = self.inference.target(self.url.decode("latin-1"))
        if target is None or b"%" in self.url or parser.should_upgrade():
            super().on_headers_complete()
            return
        keep_alive = parser.get_http_version() != "1.0" and parser.should_keep_alive()
        headers = self.text_headers()
        limit = self.inference.service.limits.body_bytes_max
        if int(headers.get("content-length", "0")) > limit:
            super().on_headers_complete()  # refused there, without keeping the body until then
            return
        if head is not None and keep_alive:
            self.inference.heads.remember(head, target, headers, limit)
        self._exchange = _Exchange(self, target, headers, keep_alive=keep_alive)

    def on_body(self, body: bytes) -> None:
        """Take a part of a body."""
        exchange = self._exchange
        if self._is_leaving:
            return
        if exchange is None:
            super().on_body(body)
        elif not exchange.is_done:
            limit = self.inference.service.limits.body_bytes_max
            if not exchange.body:
                exchange.body = body
            elif isinstance(exchange.body, bytes):
                exchange.body = bytearray(exchange.body) + body
            else:
                exchange.body += body
            if len(exchange.body) > limit:
                exchange.body = b""
                exchange.refuse(RequestError(f"the body has over {limit} bytes", 413))

    def on_message_complete(self) -> None:
        """Start the request whose body is whole."""
        self._is_between = True
        exchange = self._exchange
        if self._is_leaving:
            return
        if exchange is None:
            super().on_message_complete()
        elif not exchange.is_done:
            exchange.start()

    def text_headers(self) -> dict[str, str]:
        """Return the headers of the request that is being read."""
        return {key.decode("latin-1"): value.decode("latin-1") for key, value in self.headers}

    def write(self, answer: Answer, *, keep_alive: bool) -> None:
        """Write a whole answer."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        status, headers, body = answer
        stays = keep_alive and not self._is_leaving
        parts = [_STATUS_LINES[status]]
        for name, value in headers if stays else [*headers, _CLOSE]:
            parts += (name, b": ", value, b"\r\n")
        parts += (b"\r\n", body)
        self.transport.write(b"".join(parts))
        if not stays:
            self.transport.close()
            return
        self._rest()

    def write_json(self, body: bytes) -> None:
        """Write the answer that almost every request gets."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if self._is_leaving:
            self.write(
                (200, [JSON, (b"content-length", b"%d" % len(body))], body), keep_alive=False
            )
            return
        self.transport.write(_JSON_HEAD % len(body) + body)
        self._rest()

    def _rest(self) -> None:
        """Begin to be idle. One timer a connection; uvicorn's own way has one a request."""
        self._idle_since = time.monotonic()
        if self._idle_timer is None:
            self._idle_timer = self.loop.call_later(self.timeout_keep_alive, self._close_idle)

    def _close_idle(self) -> None:
        """Close the connection when nothing came for long, else look again later."""
        self._idle_timer = None
        if self.transport.is_closing():
            return
        idle_seconds = time.monotonic() - self._idle_since
        is_used = self._is_open or self._is_waiting or not self._is_between
        if is_used or idle_seconds < self.timeout_keep_alive:
            left = self.timeout_keep_alive - (0.0 if is_used else idle_seconds)
            self._idle_timer = self.loop.call_later(left, self._close_idle)
        else:
            self.transport.close()

    def shutdown(self) -> None:
        """Close the connection, after the answer that it waits for."""
        if self._is_open:
            self._is_leaving = True
        else:
            super().shutdown()
