"""Routes about what is known: profiles with their runs, forecasts of demand, learned models."""

from __future__ import annotations

from typing import Annotated

import fastapi
from starlette.responses import Response

from api.messages import questions
from api.rest import answering, bodies
from engine.model.capacity import DemandFan
from engine.model.learning import LearningReport, ModelVersion, TaskHistory
from engine.model.sizing import ServiceSize

router = answering.router("forecasts")

Raw = Annotated[bodies.RawBody, fastapi.Depends(bodies.raw_body)]


@router.get("/v1/profiles", response_model=TaskHistory)
def task_history(application: answering.Served, task: str) -> Response:
    """Return what is said of the next run of `TASK` or `PIPELINE/TASK`, and its past runs."""
    return answering.value(application.task_history(task))


@router.post("/v1/profiles", response_model=list[TaskHistory])
def profiles(application: answering.Served, raw: Raw) -> Response:
    """Return what is said of tasks of pipelines without a plan, and their past runs.

    The body is `{"documents": [...], "task": ..., "as_of": ...}`; without `task` all are told.
    """
    return answering.values(application.profiles(raw.read(questions.ProfilesQuestion)))


@router.get("/v1/sizes", response_model=list[ServiceSize])
def sizes(application: answering.Served) -> Response:
    """Return what running services should hold, as it was last told of each."""
    return answering.values(application.sizes())


@router.post("/v1/forecast", response_model=list[DemandFan])
def forecast(application: answering.Served, raw: Raw) -> Response:
    """Return quantiles of a pool's demand for each coming hour, with the past and their evidence.

    The body is `{"pool": ..., "horizon_hours": ..., "demand": CSV}`, each of which may be left
    out: every pool, a week, the demand of the engine's settings.
    """
    return answering.values(application.forecast(raw.read(questions.ForecastQuestion)))


@router.get("/v1/learning", response_model=LearningReport)
def learning(application: answering.Served) -> Response:
    """Return the versions of learned models with their scores, and promises kept by week."""
    return answering.value(application.learning())


@router.post("/v1/learning/refit", response_model=ModelVersion)
def refit(application: answering.Served) -> Response:
    """Learn anew from all runs; the version is in force only where it is better."""
    return answering.value(application.refit())


@router.post("/v1/learning/rollback", response_model=LearningReport)
def roll_back(application: answering.Served) -> Response:
    """Use the version before the one in force again."""
    return answering.value(application.roll_back())
