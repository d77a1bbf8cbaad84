"""What browsers see when something went wrong: a page where programs get a problem document."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import cast

import fastapi
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from api.messages import problems
from api.report import codes
from api.web.desk import Desk
from engine.model import errors

Handler = Callable[[Request, Exception], Response | Awaitable[Response]]
_PROGRAMS = ("/v1/", "/schema/", "/static/", "/openapi.json", "/healthz")


def install(application: fastapi.FastAPI, desk: Desk) -> None:
    """Answer failures with pages where a browser asked, else as the application did before."""
    for kind in (errors.BerthError, RequestValidationError, HTTPException, Exception):
        before = application.exception_handlers.get(kind)
        application.add_exception_handler(kind, _handler(desk, cast("Handler | None", before)))


def _handler(desk: Desk, before: Handler | None) -> Handler:
    async def handle(request: Request, error: Exception) -> Response:
        if before is None or wants_page(request):
            return failure(desk, request, error)
        answer = before(request, error)
        return await answer if inspect.isawaitable(answer) else answer

    return handle


def wants_page(request: Request) -> bool:
    """Return whether a browser asked for a page."""
    accepts = "text/html" in request.headers.get("accept", "")
    return accepts and not request.url.path.startswith(_PROGRAMS)


def failure(desk: Desk, request: Request, error: Exception) -> Response:
    """Return the page of an error: what went wrong and what to do about it, never how."""
    status, message, fix, code = _told(request, error)
    return desk.page(
        "error.html",
        status=status,
        title=HTTPStatus(status).phrase,
        here="",
        message=message,
        fix=fix,
        code=code,
        meaning=codes.meaning(code),
    )


def _told(request: Request, error: Exception) -> tuple[int, str, str, str]:
    """Return status, message, fix and code of an error."""
    if isinstance(error, errors.BerthError):
        return int(problems.problem(error)["status"]), error.message, error.fix, error.code
    if isinstance(error, RequestValidationError):
        faults = (f"{item['loc'][-1]}: {item['msg']}" for item in error.errors())
        return 422, f"The form has faults: {'; '.join(faults)}", "go back and correct them", ""
    if isinstance(error, HTTPException):
        missing = error.status_code == HTTPStatus.NOT_FOUND
        message = f"There is nothing at {request.url.path!r}" if missing else str(error.detail)
        return error.status_code, message, "the links above lead to what there is", ""
    return 500, f"{type(error).__name__} in Berth itself", "the engine's log has the trace", ""
