"""The model server as an ASGI application.

Inference is answered before any router looks at the request: that route is the one that must be
quick. Everything else goes through starlette. The model in service is one reference; a swap
loads and checks the new one in a thread, then replaces the reference. A request uses the model
it began with.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from importlib import metadata
from pathlib import Path
from typing import Any, cast

import pydantic_core
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from engine.model.errors import BerthError, FinalError
from executors.serving import protocol
from executors.serving.models import ServedModel
from executors.serving.packages import Packages
from executors.serving.protocol import RequestError
from executors.serving.windows import Windows

_BODY_BYTES_MAX = 16 << 20
_ROWS_INLINE = 256
"""Requests with more rows are answered in a thread, so that they do not hold up the others."""
_JSON = [(b"content-type", b"application/json")]


class ModelServer:
    """Serves one model by name, whichever version of it is in place.

    Not for several threads but for the one that runs the event loop.
    """

    def __init__(self, model: ServedModel, packages: Packages, windows: Windows) -> None:
        self.model = model
        self._packages = packages
        self._windows = windows
        self._name = model.name
        self._swapping = asyncio.Lock()
        self._noting: asyncio.Task[None] | None = None  # the loop itself keeps only a weak one
        self._infer_path = f"/v2/models/{model.name}/infer"
        self._others = self._routes()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if (
            scope["type"] == "http"
            and scope["path"] == self._infer_path
            and scope["method"] == "POST"
        ):
            status, body = await self._infer(receive)
            await send({"type": "http.response.start", "status": status, "headers": _headers(body)})
            await send({"type": "http.response.body", "body": body})
        else:
            await self._others(scope, receive, send)

    async def _infer(self, receive: Receive) -> tuple[int, bytes]:
        """Return status and body of an answer."""
        started = time.perf_counter()
        model = self.model
        try:
            request = protocol.parse_infer(await _body(receive), model)
            if len(request.rows) > _ROWS_INLINE:
                found = await asyncio.to_thread(model.infer, request.rows)
            else:
                found = model.infer(request.rows)
        except RequestError as error:
            self._windows.failed()
            return error.status, _error(str(error))
        except Exception as error:
            self._windows.failed()
            return 500, _error(f"the model failed: {error}")
        request_id = request.request_id or uuid.uuid4().hex
        body = protocol.answer(request, request_id, found, model)
        self._windows.answered(request_id, found, (time.perf_counter() - started) * 1000)
        return 200, body

    async def swap(self, digest: str, layout: Path | None = None) -> None:
        """Serve another package; until it is loaded and checked, the old one serves.

        Raises:
            NotFoundError: when nothing has this digest.
            DamagedError: when the package is not what it says it is; nothing changed.
        """
        async with self._swapping:
            if digest in self.model.names:
                return
            model = await asyncio.to_thread(self._packages.load, digest, layout)
            if model.name != self._name:
                raise RequestError(f"the package holds {model.name!r}, not {self._name!r}")
            if self._noting is not None:
                await self._noting  # tags are set in the order of the swaps
            self.model = model
            self._noting = asyncio.create_task(
                asyncio.to_thread(self._packages.note_serving, model)
            )

    # -------------------------------------------------------------------- routes

    def _routes(self) -> Starlette:
        model = "/v2/models/{model}"
        version = model + "/versions/{version}"
        repository = "/v2/repository"
        return Starlette(
            routes=[
                Route("/v2", self._server),
                Route("/v2/health/live", self._live),
                Route("/v2/health/ready", self._ready),
                Route(model, self._metadata),
                Route(version, self._metadata),
                Route(model + "/ready", self._model_ready),
                Route(version + "/ready", self._model_ready),
                Route(model + "/infer", self._versioned_infer, methods=["POST"]),
                Route(version + "/infer", self._versioned_infer, methods=["POST"]),
                Route(model + "/labels", self._labels, methods=["POST"]),
                Route(repository + "/index", self._index, methods=["POST"]),
                Route(repository + "/models/{model}/load", self._load, methods=["POST"]),
            ],
            exception_handlers={RequestError: _refused, HTTPException: _unknown},
        )

    def _check_model(self, request: Request) -> None:
        """Refuse a model or version that is not served."""
        name = request.path_params["model"]
        if name != self._name:
            raise RequestError(f"there is no model {name!r}, only {self._name!r}", 404)
        version = request.path_params.get("version", self.model.digest)
        if version not in self.model.names:
            raise RequestError(f"version {version!r} is not served, but {self.model.digest}", 404)

    async def _server(self, _: Request) -> JSONResponse:
        extensions = ["model_repository", "berth_labels"]
        version = metadata.version("berth")
        return JSONResponse({"name": "berth", "version": version, "extensions": extensions})

    async def _live(self, _: Request) -> JSONResponse:
        return JSONResponse({"live": True})

    async def _ready(self, _: Request) -> JSONResponse:
        return JSONResponse({"ready": True})

    async def _metadata(self, request: Request) -> JSONResponse:
        self._check_model(request)
        return JSONResponse(protocol.describe(self.model))

    async def _model_ready(self, request: Request) -> JSONResponse:
        self._check_model(request)
        return JSONResponse({"name": self._name, "ready": True})

    async def _versioned_infer(self, request: Request) -> JSONResponse:
        self._check_model(request)
        status, body = await self._infer(request.receive)
        return JSONResponse(pydantic_core.from_json(body), status)

    async def _index(self, _: Request) -> JSONResponse:
        entry = {"name": self._name, "version": self.model.digest, "state": "READY", "reason": ""}
        return JSONResponse([entry])

    async def _load(self, request: Request) -> JSONResponse:
        name = request.path_params["model"]
        if name != self._name:
            raise RequestError(f"there is no model {name!r}, only {self._name!r}", 404)
        parameters = protocol.parse_json(await _body(request.receive)).get("parameters")
        given = cast("dict[str, Any]", parameters) if isinstance(parameters, dict) else {}
        digest, path = given.get("digest"), given.get("path")
        if not isinstance(digest, str):
            raise RequestError("`parameters.digest` is missing, expected the package's digest")
        try:
            await self.swap(digest, Path(str(path)) if path else None)
        except FinalError as error:
            raise RequestError(error.message, 422) from error
        except BerthError as error:
            raise RequestError(error.message, 503) from error
        return JSONResponse({"name": self._name, "digest": digest, "version": self.model.digest})

    async def _labels(self, request: Request) -> JSONResponse:
        self._check_model(request)
        try:
            entries: object = pydantic_core.from_json(await _body(request.receive))
        except ValueError as error:
            raise RequestError(f"the body is not JSON: {error}") from error
        if not isinstance(entries, list):
            raise RequestError('the body is no list of {"id": ..., "label": ...}')
        pairs = [_label(entry) for entry in cast("list[object]", entries)]
        matched = sum(self._windows.label(request_id, labels) for request_id, labels in pairs)
        return JSONResponse({"matched": matched, "unknown": len(pairs) - matched})


async def _body(receive: Receive) -> bytes:
    """Return the whole body of a request.

    Raises:
        RequestError: when it is too large.
    """
    message = await receive()
    body = cast("bytes", message.get("body", b""))
    if not message.get("more_body", False):
        return body
    parts = [body]
    size = len(body)
    while message.get("more_body", False):
        message = await receive()
        parts.append(cast("bytes", message.get("body", b"")))
        size += len(parts[-1])
        if size > _BODY_BYTES_MAX:
            raise RequestError(f"the body has over {_BODY_BYTES_MAX} bytes", 413)
    return b"".join(parts)


def _label(entry: object) -> tuple[str, list[int]]:
    """Read one late label: a number, or a list for a request with several rows."""
    found = cast("dict[str, object]", entry) if isinstance(entry, dict) else {}
    request_id, label = found.get("id"), found.get("label")
    labels = cast("list[object]", label) if isinstance(label, list) else [label]
    if not isinstance(request_id, str) or not all(isinstance(value, int) for value in labels):
        raise RequestError(f'{entry!r} is not {{"id": text, "label": whole number}}')
    return request_id, cast("list[int]", labels)


def _error(message: str) -> bytes:
    """Return an error as the protocol wants it."""
    return pydantic_core.to_json({"error": message})


def _headers(body: bytes) -> list[tuple[bytes, bytes]]:
    return [*_JSON, (b"content-length", str(len(body)).encode())]


async def _refused(_: Request, error: Exception) -> JSONResponse:
    status = error.status if isinstance(error, RequestError) else 500
    return JSONResponse({"error": str(error)}, status)


async def _unknown(request: Request, error: Exception) -> JSONResponse:
    status = error.status_code if isinstance(error, HTTPException) else 500
    return JSONResponse({"error": f"{request.method} {request.url.path} is not served"}, status)
