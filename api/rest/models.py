"""Routes about models in repositories: deliveries, releases, and webhooks of git hosts."""

from __future__ import annotations

from typing import Annotated

import fastapi
from starlette import status
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from api.messages import modelling, problems
from api.report.modelling import delivery_text
from api.rest import answering, bodies
from engine.model.errors import BerthError, RefusedError

router = answering.router("models")

Body = Annotated[bodies.RawBody, fastapi.Depends(bodies.raw_body)]
_UNPROVEN = "M006"


@router.get("/v1/models", response_model=list[modelling.ModelSummary])
def models(application: answering.Served) -> Response:
    """Return all models with what they serve in test and production."""
    return answering.values(application.models.models())


@router.get("/v1/models/{name}/releases", response_model=list[modelling.ReleaseEvent])
def releases(application: answering.Served, name: str) -> Response:
    """Return what became of a model's pushes, newest first."""
    return answering.values(application.models.releases(name))


@router.get("/v1/models/{name}/weights/{artifact}", response_class=Response)
def weights(application: answering.Served, name: str, artifact: str) -> Response:
    """Return weights by the digest of their artefact, as `weights.json` names it, as bytes."""
    found = application.models.weights(name, artifact)
    return Response(found, media_type="application/octet-stream")


@router.post("/v1/models/{name}/deliver", response_model=modelling.DeliveryAnswer)
def deliver(
    application: answering.Served, request: Request, name: str, commit: str = ""
) -> Response:
    """Take a commit (the newest by default) through tests and image to its servers.

    The repository's own hook calls it; `Accept: text/plain` gives what git prints to the pusher.
    """
    is_text = "text/plain" in request.headers.get("accept", "")
    try:
        found = application.models.deliver(name, commit)
    except BerthError as error:
        if not is_text:
            raise
        return PlainTextResponse(f"Not delivered: {error.message}. {error.fix}\n", 422)
    return PlainTextResponse(delivery_text(found) + "\n") if is_text else answering.value(found)


@router.post("/v1/models/{name}/promote", response_model=modelling.ReleaseEvent)
def promote(application: answering.Served, name: str, release: str = "") -> Response:
    """Serve a release (the newest by default, else by commit or package) in production."""
    return answering.value(application.models.promote(name, release))


@router.post("/v1/models/{name}/rollback", response_model=modelling.ReleaseEvent)
def roll_back(application: answering.Served, name: str) -> Response:
    """Serve in production what served before."""
    return answering.value(application.models.roll_back(name))


@router.post(
    "/v1/models/{name}/webhook",
    response_model=modelling.WebhookAnswer,
    status_code=status.HTTP_202_ACCEPTED,
)
def webhook(application: answering.Served, request: Request, name: str, raw: Body) -> Response:
    """Take a push event of GitLab or GitHub; its sender is proven by signature or token."""
    headers = {key.lower(): value for key, value in request.headers.items()}
    try:
        found = application.models.webhook(name, headers, raw.content)
    except RefusedError as error:
        if error.code != _UNPROVEN:
            raise
        content = {**problems.problem(error), "status": status.HTTP_401_UNAUTHORIZED}
        return fastapi.responses.JSONResponse(
            content, status.HTTP_401_UNAUTHORIZED, media_type=problems.MEDIA_TYPE
        )
    return answering.value(found, status=status.HTTP_202_ACCEPTED)
