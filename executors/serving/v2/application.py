"""The model server as an ASGI application.

Inference is answered before any router looks at the request: that route is the one that must be
quick. Everything else goes through starlette.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import cast

from starlette.types import ASGIApp, Receive, Scope, Send

from executors.serving.runtime.faults import RequestError
from executors.serving.v2 import compression, documents
from executors.serving.v2.heads import Heads
from executors.serving.v2.service import InferenceService

_INFER = "/infer"
_MODELS = "/v2/models/"
_VERSIONS = "versions"
_TARGETS_MAX = 4096
JSON = (b"content-type", b"application/json")
_BINARY = (b"content-type", b"application/octet-stream")
_MILLI = 1000.0
_DIGITS_MAX = 18
_DISCARD_BYTES_MAX = 32 << 20
Answer = tuple[int, list[tuple[bytes, bytes]], bytes]


class Application:
    """Answers inference itself and leaves everything else to `others`."""

    def __init__(self, service: InferenceService, others: ASGIApp) -> None:
        self.service = service
        self._others = others
        self.heads = Heads()
        self._targets: dict[str, tuple[str, str]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        target = None
        if scope["type"] == "http" and scope["method"] == "POST":
            path = scope["path"]
            target = self.target(path) if path.endswith(_INFER) else None
        if target is None:
            await self._others(scope, receive, send)
            return
        status, headers, body = await self._infer(target, scope, receive)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def target(self, path: str) -> tuple[str, str] | None:
        """Return model and version of a path to inference, None of any other."""
        remembered = self._targets.get(path)
        if remembered is not None:
            return remembered
        if not path.startswith(_MODELS) or not path.endswith(_INFER):
            return None
        parts = path[len(_MODELS) : -len(_INFER)].split("/")
        if len(parts) == 1:
            found = (parts[0], "")
        elif len(parts) == 3 and parts[1] == _VERSIONS:  # noqa: PLR2004 - NAME/versions/VERSION
            found = (parts[0], parts[2])
        else:
            return None
        if found[0] in self.service.shelf.slots and len(self._targets) < _TARGETS_MAX:
            self._targets[path] = found
        return found

    async def _infer(self, target: tuple[str, str], scope: Scope, receive: Receive) -> Answer:
        """Return status, headers and body of an answer."""
        began = time.monotonic()
        service = self.service
        status = 200
        headers = {
            key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]
        }
        try:
            # Read before it counts as open: who sends slowly would keep others out.
            body = await read_body(receive, headers, service.limits.body_bytes_max)
            service.enter()
        except RequestError as error:
            service.finish(target[0], error.status, began)
            return refusal(error)
        try:
            request = documents.read_infer(body, json_length(headers))
            timeout = timeout_of(headers)
            answer = await service.infer(
                target, request, headers, began=began, timeout_seconds=timeout
            )
            return answered(*documents.write_answer(answer), headers)
        except RequestError as error:
            status = error.status
            return refusal(error)
        except Exception as error:
            status = 500
            return refusal(RequestError(f"the server failed: {error!r}", status))
        finally:
            service.open_requests -= 1
            service.finish(target[0], status, began)


async def read_body(receive: Receive, headers: Mapping[str, str], bytes_max: int) -> bytes:
    """Return the whole body of a request, unpacked.

    Raises:
        RequestError: when it is too large or damaged.
    """
    declared = headers.get("content-length", "")
    if declared.isdigit() and int(declared) > bytes_max:
        await _discard(receive)
        raise RequestError(f"the body has over {bytes_max} bytes", 413)
    message = await receive()
    body = cast("bytes", message.get("body", b""))
    if message.get("more_body", False):
        parts = [body]
        size = len(body)
        while message.get("more_body", False):
            message = await receive()
            parts.append(cast("bytes", message.get("body", b"")))
            size += len(parts[-1])
            if size > bytes_max:
                raise RequestError(f"the body has over {bytes_max} bytes", 413)
        if message["type"] == "http.disconnect":
            raise RequestError("the client left before its request was whole")
        body = b"".join(parts)
    coding = headers.get("content-encoding", "")
    return compression.decompress(body, coding.lower(), bytes_max) if coding else body


async def _discard(receive: Receive) -> None:
    """Read on a while, so that a client that sends a little too much still hears the answer."""
    size = 0
    while size < _DISCARD_BYTES_MAX:
        message = await receive()
        size += len(cast("bytes", message.get("body", b"")))
        if not message.get("more_body", False):
            return


def timeout_of(headers: Mapping[str, str]) -> float:
    """Return the longest wait that the header `Berth-Timeout-Ms` allows, in seconds.

    Raises:
        RequestError: when it is no number.
    """
    found = headers.get("berth-timeout-ms")
    if found is None:
        return float("inf")
    return _whole("Berth-Timeout-Ms", found) / _MILLI


def refusal(error: RequestError) -> Answer:
    """Return the answer that an error gets."""
    body = documents.encode({"error": str(error)})
    headers = [JSON, (b"content-length", str(len(body)).encode())]
    if error.retry_after_seconds:
        headers.append((b"retry-after", str(error.retry_after_seconds).encode()))
    return error.status, headers, body


def json_length(headers: Mapping[str, str]) -> int | None:
    """Return how much of a body is JSON where bytes follow it.

    Raises:
        RequestError: when the header is no number.
    """
    found = headers.get("inference-header-content-length")
    return None if found is None else _whole("Inference-Header-Content-Length", found)


def _whole(name: str, value: str) -> int:
    """Return the number that a header says.

    Raises:
        RequestError: when it says none, or one that no clock or body reaches.
    """
    # `isdigit` alone takes digits that `int` does not, such as ones set high.
    if not (value.isascii() and value.isdigit() and len(value) <= _DIGITS_MAX):
        said = f"{name} is {value[:_DIGITS_MAX]!r}"
        raise RequestError(f"{said}, expected a whole number, {_DIGITS_MAX} digits at most")
    return int(value)


def answered(body: bytes, json_size: int | None, headers: Mapping[str, str]) -> Answer:
    """Return an answer, compressed where the client wants that and it pays."""
    body, coding = compression.compress(body, headers.get("accept-encoding", ""))
    kind = JSON if json_size is None else _BINARY
    found = [kind, (b"content-length", str(len(body)).encode())]
    if json_size is not None:
        found.append((b"inference-header-content-length", str(json_size).encode()))
    if coding:
        found.append((b"content-encoding", coding.encode()))
    return 200, found, body
