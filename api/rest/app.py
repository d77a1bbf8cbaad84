"""The FastAPI application: errors as problem documents, limits, schemas, and all routes."""

from __future__ import annotations

import json
from typing import Any, cast

import fastapi
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from api.messages import problems
from api.report.codes import code_text
from api.rest import (
    alarms,
    answering,
    bodies,
    browsers,
    events,
    fleet,
    forecasts,
    hands,
    images,
    intake,
    metrics,
    models,
    plans,
    runs,
    trainings,
)
from api.wiring import Application
from engine import documents
from engine.model.errors import BerthError, InvalidInputError, NotFoundError

_DESCRIPTION = """\
Plans, places and runs machine-learning pipelines over many clusters, and keeps watch over them.

Errors are problem documents (RFC 9457) with the members `kind`, `code`, `fix`, and where they
apply `faults`, `clashes` and `changes`. Plans are canonical JSON: the same bytes through every
face.
"""


_MODULES = (
    plans,
    runs,
    trainings,
    models,
    alarms,
    hands,
    intake,
    fleet,
    forecasts,
    images,
    events,
    metrics,
)


def create(application: Application) -> fastapi.FastAPI:
    """Return the API of an application."""
    app = fastapi.FastAPI(
        title="Berth",
        version=application.parts.version,
        description=_DESCRIPTION,
        # FastAPI's own pages load scripts from another host.
        docs_url=None,
        redoc_url=None,
    )
    app.state.application = application
    app.state.bytes_max = application.parts.settings.request_bytes_max
    app.add_middleware(bodies.SizeLimit, bytes_max=app.state.bytes_max)
    app.add_middleware(browsers.Browsers)
    app.add_exception_handler(BerthError, _berth_error)
    app.add_exception_handler(RequestValidationError, _wrong_request)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(bodies.TooLargeError, _too_large)
    app.add_exception_handler(intake.UnknownSenderError, intake.unknown_sender)
    app.add_exception_handler(Exception, _fault_of_ours)
    # Including a router would make each of its routes, with the schemas of its types, once more.
    for module in _MODULES:
        app.router.routes.extend(module.router.routes)
    app.router.routes.extend(_about.routes)
    return app


_about = answering.router("about")


@_about.get("/healthz")
def healthz(application: answering.Served) -> Response:
    """Return whether the engine and each of its loops is well; 503 when one is not."""
    health = application.health()
    fine = all(loop.fine for loop in health.loops)
    return answering.value(health, status=200 if fine else 503)


@_about.get("/v1/doctor")
def doctor(application: answering.Served) -> Response:
    """Return what a look at database, clock, disk, solver, clusters and loops found."""
    return answering.values(application.examine())


@_about.get("/schema/pipeline.json")
def pipeline_schema() -> dict[str, Any]:
    """Return the JSON Schema of a pipeline, for editors."""
    return documents.pipeline_schema()


@_about.get("/schema/fleet.json")
def fleet_schema() -> dict[str, Any]:
    """Return the JSON Schema of a fleet file, for editors."""
    return documents.fleet_schema()


@_about.get("/help/{code}", response_class=PlainTextResponse)
def help_page(code: str) -> str:
    """Return the page of an error code as text."""
    return code_text(code)


class _Problem(JSONResponse):
    """A problem document; half a character of a value at fault is written as its escape."""

    media_type = problems.MEDIA_TYPE

    def render(self, content: object) -> bytes:
        """Return the document as bytes."""
        return json.dumps(content, ensure_ascii=False).encode(errors="backslashreplace")


def _problem(content: dict[str, Any], headers: dict[str, str] | None = None) -> JSONResponse:
    return _Problem(content, int(content["status"]), headers=headers)


def _berth_error(_: Request, error: Exception) -> Response:
    content = problems.problem(cast("BerthError", error))
    wait = (
        {"Retry-After": "1"}
        if content["status"] == fastapi.status.HTTP_503_SERVICE_UNAVAILABLE
        else None
    )
    return _problem(content, wait)


def _wrong_request(_: Request, error: Exception) -> Response:
    found = cast("RequestValidationError", error).errors()
    faults = bodies.validation_faults(found)
    return _problem(problems.problem(InvalidInputError("the request", faults)))


def _http_error(request: Request, error: Exception) -> Response:
    """Return a problem document for what the web framework itself refuses."""
    known = cast("HTTPException", error)
    if known.status_code == fastapi.status.HTTP_404_NOT_FOUND:
        message = f"there is nothing at {request.url.path!r}"
        return _problem(problems.problem(NotFoundError(message, fix="see /openapi.json")))
    content = {
        "type": f"/help/H{known.status_code}",
        "title": str(known.detail),
        "status": known.status_code,
        "detail": f"{request.method} {request.url.path}: {known.detail}",
        "kind": "final",
        "code": f"H{known.status_code}",
        "fix": "see /openapi.json",
    }
    return _problem(content, dict(known.headers or {}))


def _too_large(request: Request, _: Exception) -> Response:
    return bodies.too_large(request.app.state.bytes_max)


def _fault_of_ours(request: Request, error: Exception) -> Response:
    """Return a problem document that tells nothing about the inside; the log has the trace."""
    message = f"{request.method} {request.url.path} failed: {type(error).__name__}"
    return _problem(problems.problem(BerthError(message, fix="the engine's log has the trace")))
