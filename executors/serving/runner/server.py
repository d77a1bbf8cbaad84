"""The endpoints of the runner as an ASGI application, below a context such as `/modelrunner`.

    PUT  /model  /proto  /model/configuration
    POST /model/methods/{name}
    POST /transformCSV  /transformCSVDefault  /transformJSON  /transformJSONDefault
    POST /getBinary     /getBinaryDefault     /getBinaryJSON  /getBinaryJSONDefault

Names, parts (`model`, `proto`, `modelConfig`, `csvFile`, `jsonFile`) and the parameter `operation`
are those of Acumos's generic model runner. Errors are JSON with a status and the next step, where
that one answers with an empty body.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

import pydantic_core
from python_multipart.exceptions import MultipartParseError
from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.types import Message, Receive, Scope, Send

from executors.serving.models import RUNTIME_ERRORS, Prediction
from executors.serving.runner import texts
from executors.serving.runner.errors import CallError
from executors.serving.runner.runner import Parts, Runner

CONTEXT = "/modelrunner"
BODY_BYTES_MAX = 256 << 20
"""Of a PUT or of a call that brings its own model."""
CALL_BYTES_MAX = 16 << 20
_INLINE_BYTES = 64 << 10
"""Larger calls are answered in a thread, so that they do not hold up the others."""
_HASHED_BYTES = 1 << 20
"""Up to so many are looked up at once; more would take milliseconds to hash."""
_PARTS_MAX = 8
T = TypeVar("T")
Observe = Callable[[Prediction, float], None]


def _unobserved(_: Prediction, __: float) -> None:
    return


class RunnerServer:
    """Serves a runner. `observe` is told each answer and its milliseconds.

    Not for several threads but for the one that runs the event loop.
    """

    def __init__(
        self, runner: Runner, *, context: str = CONTEXT, observe: Observe = _unobserved
    ) -> None:
        self._runner = runner
        self._observe = observe
        self._swapping = asyncio.Lock()
        self._application = Starlette(
            routes=[Mount(context.rstrip("/"), routes=self._routes())],
            exception_handlers={
                CallError: _refused,
                MultipartParseError: _refused,
                HTTPException: _unknown,
            },
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await self._application(scope, receive, send)

    def _routes(self) -> list[Route]:
        return [
            Route("/model", self._put, methods=["PUT"]),
            Route("/proto", self._put, methods=["PUT"]),
            Route("/model/configuration", self._put, methods=["PUT"]),
            Route("/model/methods/{name}", self._operation, methods=["POST"]),
            *(
                Route(f"/{verb}{form}{default}", self._call, methods=["POST"])
                for verb, forms in (("transform", ("CSV", "JSON")), ("getBinary", ("", "JSON")))
                for form in forms
                for default in ("", "Default")
            ),
        ]

    # -------------------------------------------------------------------- swaps

    async def _put(self, request: Request) -> Response:
        """Put what the parts of the request hold; any of the three may come together."""
        parts = await _parts(request, BODY_BYTES_MAX)
        own = {"model": "model", "proto": "proto", "configuration": "modelConfig"}
        name = own[request.url.path.rpartition("/")[2]]
        if name not in parts:
            found = ", ".join(parts) or "none"
            raise CallError(f"the request has no part {name!r}; it has: {found}")
        async with self._swapping:
            put = await asyncio.to_thread(self._read, parts)
            try:
                serves = self._runner.put(put)
            except CallError as error:
                if error.status != 202:  # noqa: PLR2004 - accepted, waits for its other half
                    raise
                return _problem(error)
        return JSONResponse({"status": "OK", "message": f"serves {serves}"})

    def _read(self, parts: Mapping[str, bytes]) -> Parts:
        return Parts(
            model=self._runner.load(parts["model"]) if "model" in parts else None,
            schema=self._runner.compile(parts["proto"]) if "proto" in parts else None,
            configuration=(
                texts.properties(parts["modelConfig"]) if "modelConfig" in parts else None
            ),
        )

    # -------------------------------------------------------------------- calls

    async def _operation(self, request: Request) -> Response:
        started = time.perf_counter()
        data = await _body(request, CALL_BYTES_MAX)
        name = request.path_params["name"]
        return await self._answered(started, len(data), lambda: self._runner.call(data, name))

    async def _call(self, request: Request) -> Response:
        """Answer a CSV or JSON: by the model, or only as a message."""
        started = time.perf_counter()
        verb = request.url.path.rpartition("/")[2]
        is_json = "JSON" in verb
        brings = not verb.endswith("Default")
        parts = await _parts(request, BODY_BYTES_MAX if brings else CALL_BYTES_MAX)
        data = _part(parts, "jsonFile" if is_json else "csvFile")
        if len(data) > CALL_BYTES_MAX:
            raise CallError(f"the data has over {CALL_BYTES_MAX} bytes", status=413)
        operation = parts.get("operation", b"").decode(errors="replace")
        transforms = verb.startswith("transform")
        other = await self._brought(parts, with_model=transforms) if brings else None
        method = self._runner.method(operation, other.schema if other else None)
        if transforms:
            return await self._answered(
                started,
                len(data),
                lambda: self._runner.transform(data, method, is_json=is_json, other=other),
            )
        encoded = await _run(len(data), lambda: self._runner.encode(data, method, is_json=is_json))
        return Response(encoded, media_type="application/octet-stream")

    async def _brought(self, parts: Mapping[str, bytes], *, with_model: bool) -> Parts:
        """Return the parts that a call brings for itself; they replace nothing."""
        wanted = {"proto": _part(parts, "proto")}
        if with_model:
            wanted["model"] = _part(parts, "model")
        size = sum(map(len, wanted.values()))
        if size <= _HASHED_BYTES and self._runner.knows(wanted.get("model", b""), wanted["proto"]):
            # Nothing is to be loaded: handing over to a thread would take longer.
            return self._read(wanted)
        return await asyncio.to_thread(self._read, wanted)

    async def _answered(
        self, started: float, size: int, call: Callable[[], tuple[bytes, Prediction]]
    ) -> Response:
        try:
            data, found = await _run(size, call)
        except RUNTIME_ERRORS as error:
            raise CallError(f"the model failed: {str(error)[:300]}", status=500) from error
        self._observe(found, (time.perf_counter() - started) * 1000)
        return Response(data, media_type="application/octet-stream")


async def _run(size: int, call: Callable[[], T]) -> T:
    return await asyncio.to_thread(call) if size > _INLINE_BYTES else call()


def _part(parts: Mapping[str, bytes], name: str) -> bytes:
    data = parts.get(name)
    if not data:
        what = "is empty" if data is not None else "is missing"
        found = ", ".join(parts) or "none"
        raise CallError(f"the part {name!r} {what}; the request has: {found}")
    return data


async def _parts(request: Request, limit: int) -> dict[str, bytes]:
    """Return the parts of a form, and the parameters of the address.

    Raises:
        CallError: when the body is too large or no form.
    """
    found = {name: value.encode() for name, value in request.query_params.items()}
    kind = request.headers.get("content-type", "")
    if not kind.startswith("multipart/form-data"):
        raise CallError(f"the content type is {kind!r}, expected multipart/form-data", status=415)
    bounded = Request(request.scope, _bounded(request, limit))
    try:
        async with bounded.form(max_files=_PARTS_MAX, max_fields=_PARTS_MAX) as form:
            for name, value in form.multi_items():
                found[name] = (
                    await value.read() if isinstance(value, UploadFile) else value.encode()
                )
    except (HTTPException, KeyError, UnicodeDecodeError) as error:
        said = error.detail if isinstance(error, HTTPException) else repr(error)
        raise CallError(f"the body is no form: {said}") from error
    return found


async def _body(request: Request, limit: int) -> bytes:
    """Return the whole body.

    Raises:
        CallError: when it is too large.
    """
    return await Request(request.scope, _bounded(request, limit)).body()


def _bounded(request: Request, limit: int) -> Receive:
    """Return what receives a body up to a limit."""
    told = request.headers.get("content-length", "0")
    if told.isdigit() and int(told) > limit:
        raise CallError(f"the body has {told} bytes, at most {limit} are read", status=413)
    size = 0

    async def receive() -> Message:
        nonlocal size
        message = await request.receive()
        size += len(message.get("body", b""))
        if size > limit:
            raise CallError(f"the body has over {limit} bytes", status=413)
        return message

    return receive


def _problem(error: CallError) -> Response:
    document = {"status": error.status, "message": error.message, "fix": error.fix}
    body = pydantic_core.to_json({key: value for key, value in document.items() if value})
    return Response(body, error.status, media_type="application/json")


async def _refused(_: Request, error: Exception) -> Response:
    found = error if isinstance(error, CallError) else CallError(f"the body is no form: {error}")
    return _problem(found)


async def _unknown(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    said = f"{request.method} {request.url.path} is not served"
    return _problem(CallError(said, status=status))
