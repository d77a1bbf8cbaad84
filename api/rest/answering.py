"""How routes answer: model values as canonical JSON, and the application they ask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, cast

import fastapi
from starlette.requests import Request
from starlette.responses import Response

from api.messages import problems
from api.wiring import Application
from engine.model import documents

JSON = "application/json"


def _application(request: Request) -> Application:
    return cast("Application", request.app.state.application)


Served = Annotated[Application, fastapi.Depends(_application)]
"""The application behind the routes."""


def router(tag: str) -> fastapi.APIRouter:
    """Return a router whose routes may answer with a problem document."""
    responses: dict[int | str, dict[str, Any]] = {
        code: {"description": title, "content": {problems.MEDIA_TYPE: {}}}
        for code, title in ((404, "Nothing has that name"), (422, "The input has faults"))
    }
    return fastapi.APIRouter(tags=[tag], responses=responses)


def text(content: str, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return JSON text as it is."""
    return Response(content, status, headers=dict(headers or {}), media_type=JSON)


def value(content: object, *, status: int = 200) -> Response:
    """Return a model value as canonical JSON."""
    return text(documents.encode(content), status=status)


def values(content: Sequence[object]) -> Response:
    """Return model values as a list in canonical JSON."""
    return text("[" + ",".join(documents.encode(item) for item in content) + "]")
