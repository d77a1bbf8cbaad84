"""Every route but inference: health, metadata, configuration, statistics, repository, metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, cast

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from engine.model.errors import BerthError, FinalError, NotFoundError
from executors.serving.runtime.faults import RequestError
from executors.serving.runtime.servables import Servable
from executors.serving.runtime.slots import Slot
from executors.serving.v2 import documents, metrics, service
from executors.serving.v2.application import read_body, refusal
from executors.serving.v2.service import InferenceService

_LATIN = "latin-1"


class PackageServer(Protocol):
    """Serves packages that were pushed."""

    async def load(self, name: str, digest: str) -> Slot:
        """Serve the package of a digest as a model."""
        ...


class Json(Response):
    """A document as JSON."""

    media_type = "application/json"

    def render(self, content: object) -> bytes:
        """Return the bytes of a document."""
        return documents.encode(content)


class Routes:
    """Handlers over a service.

    more: routes that go before these. pushed: what serves packages by digest, None for nothing.
    """

    def __init__(
        self,
        served: InferenceService,
        more: Sequence[Route] = (),
        pushed: PackageServer | None = None,
    ) -> None:
        self._service = served
        self._pushed = pushed
        model = "/v2/models/{model}"
        version = model + "/versions/{version}"
        repository = "/v2/repository"
        post = ["POST"]
        both = [
            (suffix, handler)
            for suffix, handler in (
                ("", self._metadata),
                ("/ready", self._model_ready),
                ("/config", self._config),
                ("/stats", self._statistics),
            )
        ]
        self.application = Starlette(
            routes=[
                *more,
                Route("/v2", self._server),
                Route("/v2/", self._server),
                Route("/v2/health/live", self._live),
                Route("/v2/health/ready", self._ready),
                Route("/v2/models", self._models),
                Route("/v2/models/stats", self._all_statistics),
                *(Route(model + suffix, handler) for suffix, handler in both),
                *(Route(version + suffix, handler) for suffix, handler in both),
                Route(repository + "/index", self._index, methods=post),
                Route(repository + "/models/{model}/load", self._load, methods=post),
                Route(repository + "/models/{model}/unload", self._unload, methods=post),
                Route(repository + "/models/{model}/rollback", self._rollback, methods=post),
                Route("/metrics", self._metrics),
            ],
            exception_handlers={
                RequestError: _refused,
                BerthError: _berth_error,
                HTTPException: _unknown,
            },
        )

    def _servable(self, request: Request) -> Servable:
        parameters = request.path_params
        return self._service.servable(parameters["model"], parameters.get("version", ""))

    async def _server(self, _: Request) -> Json:
        return Json(service.describe_server())

    async def _live(self, _: Request) -> Json:
        return Json({"live": True})

    async def _ready(self, _: Request) -> Json:
        ready = self._service.is_ready()
        return Json({"ready": ready}, 200 if ready else 503)

    async def _models(self, _: Request) -> Json:
        return Json({"models": self._service.shelf.names()})

    async def _metadata(self, request: Request) -> Json:
        return Json(service.describe_model(self._service, self._servable(request)))

    async def _model_ready(self, request: Request) -> Json:
        servable = self._servable(request)
        ready = servable.is_ready and not self._service.draining
        return Json({"name": servable.name, "ready": ready}, 200 if ready else 503)

    async def _config(self, request: Request) -> Json:
        return Json(service.describe_config(self._servable(request)))

    async def _statistics(self, request: Request) -> Json:
        return Json({"model_stats": [service.describe_statistics(self._servable(request))]})

    async def _all_statistics(self, _: Request) -> Json:
        found = [
            service.describe_statistics(servable)
            for slot in self._service.shelf.slots.values()
            for servable in slot.current.versions
        ]
        return Json({"model_stats": found})

    async def _index(self, request: Request) -> Json:
        wanted = documents.read_object(await body_of(request, self._service))
        entries = self._service.shelf.index()
        if wanted.get("ready") is True:
            entries = [entry for entry in entries if entry.state == "READY"]
        return Json(
            [
                {"name": e.name, "version": e.version, "state": e.state, "reason": e.reason}
                for e in entries
            ]
        )

    async def _load(self, request: Request) -> Json:
        body = documents.read_object(await body_of(request, self._service))
        name = request.path_params["model"]
        parameters = body.get("parameters")
        digest = digest_of(parameters)
        if digest is None:
            slot = await self._service.shelf.load(name, config_of(parameters))
        elif self._pushed is None:
            raise RequestError("this server knows no pushed models, give it a data folder")
        else:
            slot = await self._pushed.load(name, digest)
        versions = [servable.version for servable in slot.current.versions]
        answer = {"name": name, "versions": versions, "version": slot.current.default.version}
        return Json(answer if digest is None else {**answer, "digest": digest})

    async def _unload(self, request: Request) -> Json:
        name = request.path_params["model"]
        await self._service.shelf.unload(name)
        return Json({"name": name})

    async def _rollback(self, request: Request) -> Json:
        name = request.path_params["model"]
        slot = self._service.shelf.roll_back(name)
        return Json({"name": name, "version": slot.current.default.version})

    async def _metrics(self, _: Request) -> Response:
        found = self._service
        page = found.metrics.page(found.shelf, open_requests=found.open_requests)
        return Response(page, media_type=metrics.CONTENT_TYPE)


def digest_of(parameters: object) -> str | None:
    """Return the package that a load request names in `parameters.digest`, None without.

    Raises:
        RequestError: when it is no text.
    """
    given = cast("Mapping[str, Any]", parameters) if isinstance(parameters, dict) else {}
    found = given.get("digest")
    if found is not None and not isinstance(found, str):
        raise RequestError("`parameters.digest` is no text")
    return found


def config_of(parameters: object) -> bytes | None:
    """Return the settings that a load request brings in `parameters.config`: JSON, as text or not.

    Raises:
        RequestError: when they are neither.
    """
    given = cast("Mapping[str, Any]", parameters) if isinstance(parameters, dict) else {}
    found = given.get("config")
    if found is None:
        return None
    if isinstance(found, str):
        return found.encode()
    if isinstance(found, dict):
        return documents.encode(found)
    raise RequestError("`parameters.config` is no JSON object")


async def body_of(request: Request, served: InferenceService) -> bytes:
    """Return the body of a request, within the limits."""
    headers = {key.decode(_LATIN): value.decode(_LATIN) for key, value in request.headers.raw}
    return await read_body(request.receive, headers, served.limits.body_bytes_max)


def status_of(error: BerthError) -> int:
    """Return the HTTP status that stands for an error."""
    if isinstance(error, NotFoundError):
        return 404
    return 422 if isinstance(error, FinalError) else 503


async def _refused(_: Request, error: Exception) -> Response:
    known = error if isinstance(error, RequestError) else RequestError(str(error), 500)
    status, headers, body = refusal(known)
    found = Response(body, status)
    found.raw_headers = headers
    return found


async def _berth_error(_: Request, error: Exception) -> Response:
    if not isinstance(error, BerthError):
        return Json({"error": str(error)}, 500)
    content = {"error": error.message, "code": error.code, "fix": error.fix}
    return Json(content, status_of(error))


async def _unknown(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    return Json({"error": f"{request.method} {request.url.path} is not served"}, status)
