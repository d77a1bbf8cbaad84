"""Routes about runs: what runs, how far it is, its logs, and what serves."""

from __future__ import annotations

from typing import Annotated

import fastapi
from starlette.responses import PlainTextResponse, Response

from api.rest import answering
from engine.model.dispatches import Attempt, Deployment, Run
from engine.model.progress import RunStatus
from executors.training.tracking.experiments import Experiment
from executors.training.tracking.exporting import Exported

router = answering.router("runs")


@router.get("/v1/status", response_model=list[RunStatus])
def status(application: answering.Served, name: str = "") -> Response:
    """Return how runs are: all that matter, or those of a pipeline, a plan or a run."""
    return answering.values(application.status(name))


@router.get("/v1/runs", response_model=list[Run])
def list_runs(
    application: answering.Served, limit: Annotated[int, fastapi.Query(ge=1, le=1_000)] = 100
) -> Response:
    """Return the newest runs."""
    return answering.values(application.runs(limit))


@router.get("/v1/runs/{run_id}", response_model=Run)
def one_run(application: answering.Served, run_id: str) -> Response:
    """Return one run."""
    return answering.value(application.run(run_id))


@router.get("/v1/runs/{run_id}/attempts", response_model=list[Attempt])
def attempts(application: answering.Served, run_id: str) -> Response:
    """Return every attempt of a run."""
    return answering.values(application.attempts(run_id))


@router.get("/v1/runs/{run_id}/experiments", response_model=list[Experiment])
def experiments(application: answering.Served, run_id: str) -> Response:
    """Return what made each model of a run: data, code, parameters, environment, metrics.

    The name of a training outside a pipeline is taken for a run too.
    """
    return answering.values(application.experiments(run_id))


@router.post("/v1/runs/{run_id}/export", response_model=list[Exported])
def export(application: answering.Served, run_id: str) -> Response:
    """Export every training of a run to the MLflow that the engine's settings name."""
    return answering.values(application.export(run_id))


@router.get("/v1/runs/{run_id}/logs/{task}", response_class=PlainTextResponse)
def log(
    application: answering.Served,
    run_id: str,
    task: str,
    attempt: Annotated[int, fastapi.Query(ge=0)] = 0,
) -> PlainTextResponse:
    """Return the end of what an attempt wrote; attempt 0 is the newest."""
    return PlainTextResponse(application.log(run_id, task, attempt))


@router.post("/v1/runs/{run_id}/cancel", response_model=Run)
def cancel(application: answering.Served, run_id: str) -> Response:
    """Call off a run, or withdraw the model of one that ended and serves."""
    return answering.value(application.cancel(run_id))


@router.get("/v1/deployments", response_model=list[Deployment])
def deployments(application: answering.Served) -> Response:
    """Return what serves."""
    return answering.values(application.deployments())
