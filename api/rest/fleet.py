"""Routes about clusters."""

from __future__ import annotations

from starlette.responses import Response

from api.rest import answering
from engine.model.fleet import Fleet

router = answering.router("fleet")


@router.get("/v1/fleet", response_model=Fleet)
def fleet(application: answering.Served) -> Response:
    """Return all clusters as they are now."""
    return answering.value(application.fleet())


@router.post("/v1/clusters/{name}/fail", response_model=Fleet)
def fail(application: answering.Served, name: str) -> Response:
    """Make a local cluster fail, for exercises: its processes are killed at once."""
    return answering.value(application.switch_cluster(name, up=False))


@router.post("/v1/clusters/{name}/restore", response_model=Fleet)
def restore(application: answering.Served, name: str) -> Response:
    """Let a local cluster answer again."""
    return answering.value(application.switch_cluster(name, up=True))
