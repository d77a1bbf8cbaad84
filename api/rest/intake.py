"""Routes that other systems send to: each with the bearer token of a sender.

The paths are those that senders use by themselves (`/api/v2/alerts` of Prometheus, `/v1/metrics`
of OpenTelemetry), so that none has to be changed.
"""

from __future__ import annotations

import json
from typing import Annotated, Any

import fastapi
from starlette import status
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from alarms.intake import alerts, samples
from alarms.intake.door import Taken
from api.messages import problems
from api.rest import answering, bodies
from engine.model.errors import Fault, InvalidInputError, RefusedError
from engine.model.intake import Sender

router = answering.router("intake")

_UNAUTHORIZED = status.HTTP_401_UNAUTHORIZED
_UNSUPPORTED = status.HTTP_415_UNSUPPORTED_MEDIA_TYPE
_PROTOBUF = "application/x-protobuf"
_REMOTE_WRITE_2 = "io.prometheus.write.v2"


class UnknownSenderError(Exception):
    """A request brought no token, or one that is nobody's."""

    def __init__(self, folder: str, *, has_token: bool = False) -> None:
        super().__init__(folder)
        self.folder = folder
        self.has_token = has_token


async def sender(request: Request, application: answering.Served) -> str:
    """Return who sends a request, by its bearer token; before anything of its body is read."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    token = token.strip() if scheme.lower() == "bearer" else ""
    found = await run_in_threadpool(application.sender, token) if token else ""
    if not found:
        raise UnknownSenderError(application.senders_folder, has_token=bool(token))
    return found


Known = Annotated[str, fastapi.Depends(sender)]
Body = Annotated[bodies.RawBody, fastapi.Depends(bodies.raw_body)]


def unknown_sender(_: Request, error: Exception) -> Response:
    """Return the problem document for a request of nobody known."""
    known = error if isinstance(error, UnknownSenderError) else UnknownSenderError("")
    what = "the bearer token is nobody's" if known.has_token else "a bearer token is needed"
    fix = f"send the token that stands in a file of {known.folder!r}"
    content = problems.problem(RefusedError(what, fix=fix, code="A007"))
    content |= {"status": _UNAUTHORIZED, "title": "Who sends this is not known"}
    return JSONResponse(
        content,
        _UNAUTHORIZED,
        headers={"WWW-Authenticate": 'Bearer realm="berth"'},
        media_type=problems.MEDIA_TYPE,
    )


@router.post("/v1/intake/alertmanager")
def alertmanager(application: answering.Served, name: Known, raw: Body) -> Response:
    """Take a notification of Alertmanager's webhook (version 4)."""
    content = _json(raw)
    told = alerts.from_webhook(content)
    return _answer(application.door.alerts(name, told, left_out=alerts.left_out(content)))


@router.post("/api/v2/alerts")
def posted_alerts(application: answering.Served, name: Known, raw: Body) -> Response:
    """Take alerts as Prometheus sends them to an Alertmanager."""
    return _answer(application.door.alerts(name, alerts.from_list(_json(raw))))


@router.post("/v1/intake/cloudevents")
def cloud_events(
    application: answering.Served, name: Known, raw: Body, request: Request
) -> Response:
    """Take CloudEvents 1.0: one or a batch in JSON, or one with its attributes as headers."""
    content = _json(raw) if raw.content else None
    if "ce-specversion" in request.headers:
        attributes = {
            key.removeprefix("ce-"): value
            for key, value in request.headers.items()
            if key.startswith("ce-")
        }
        content = {**attributes, "data": content}
    return _answer(application.door.alerts(name, alerts.from_cloud_events(content)))


@router.post("/api/v1/write", status_code=status.HTTP_204_NO_CONTENT)
def remote_write(
    application: answering.Served, name: Known, raw: Body, request: Request
) -> Response:
    """Take values of Prometheus remote write 1.0 (Protocol Buffers in snappy)."""
    if _REMOTE_WRITE_2 in request.headers.get("content-type", ""):
        # Read as 1.0 it would look empty, and be lost with success.
        fix = "remove `protobuf_message` from `remote_write`: version 1.0 is its default"
        error = RefusedError("remote write 2.0 is not read here", fix=fix, code="A008")
        content = {**problems.problem(error), "status": _UNSUPPORTED}
        return JSONResponse(content, _UNSUPPORTED, media_type=problems.MEDIA_TYPE)
    application.door.samples(name, samples.from_remote_write(raw.content))
    return Response(status_code=status.HTTP_204_NO_CONTENT)


@router.post("/v1/metrics")
def otlp_metrics(
    application: answering.Served, name: Known, raw: Body, request: Request
) -> Response:
    """Take metrics of OpenTelemetry (OTLP over HTTP, Protocol Buffers or JSON)."""
    is_json = raw.media_type == answering.JSON
    is_gzip = request.headers.get("content-encoding", "").lower() == "gzip"
    found = samples.from_otlp(raw.content, is_json=is_json, is_gzip=is_gzip)
    taken = application.door.samples(name, found)
    if is_json:
        partial = {"rejectedDataPoints": str(taken.dropped), "errorMessage": taken.reason}
        return JSONResponse({"partialSuccess": partial} if taken.dropped else {})
    return Response(samples.otlp_answer(taken.dropped, taken.reason), media_type=_PROTOBUF)


@router.get("/v1/senders", response_model=list[Sender])
def senders(application: answering.Served) -> Response:
    """Return what was received from whom, and what was not taken with the newest reason."""
    return answering.values(application.senders())


def _json(raw: bodies.RawBody) -> Any:  # noqa: ANN401 - whatever was sent; the readers check it
    try:
        return json.loads(raw.text(), parse_constant=_constant)
    except (ValueError, RecursionError) as error:
        fault = Fault(code="S001", message=f"is not JSON: {str(error)[:200]}")
        raise InvalidInputError("the body", [fault]) from error


def _constant(name: str) -> float:
    """Read what JSON does not have but some send: NaN and the infinities."""
    return float(name)


def _answer(taken: Taken) -> Response:
    return JSONResponse({"taken": taken.taken, "dropped": taken.dropped, "reason": taken.reason})
