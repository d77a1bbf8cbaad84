"""Routes about super-alarms, actions and signals."""

from __future__ import annotations

from typing import Annotated

import fastapi
from starlette.responses import Response

from api.messages import questions
from api.messages.context import Context
from api.rest import answering, bodies
from engine.model.alarms import Action, SuperAlarm
from engine.model.signals import Signal

router = answering.router("alarms")

Limit = Annotated[int, fastapi.Query(ge=1, le=1_000)]


@router.get("/v1/super-alarms", response_model=list[SuperAlarm])
def list_super_alarms(application: answering.Served, limit: Limit = 100) -> Response:
    """Return super-alarms, those that harm most first."""
    return answering.values(application.super_alarms(limit))


@router.get("/v1/super-alarms/{super_alarm_id}", response_model=SuperAlarm)
def one_super_alarm(application: answering.Served, super_alarm_id: str) -> Response:
    """Return one super-alarm with its alarms, causes and evidence."""
    return answering.value(application.super_alarm(super_alarm_id))


@router.get("/v1/super-alarms/{super_alarm_id}/context", response_model=Context)
def super_alarm_context(application: answering.Served, super_alarm_id: str) -> Response:
    """Return what surrounds a super-alarm: changes, harm, the like before, and more."""
    return answering.value(application.context(super_alarm_id))


@router.post("/v1/super-alarms/{super_alarm_id}/silence", response_model=SuperAlarm)
def silence(
    application: answering.Served,
    super_alarm_id: str,
    raw: Annotated[bodies.RawBody, fastapi.Depends(bodies.raw_body)],
) -> Response:
    """Keep a super-alarm quiet; the body is `{"seconds": ..., "because": ...}`."""
    question = raw.read(questions.SilenceQuestion)
    return answering.value(application.silence(super_alarm_id, question))


@router.get("/v1/actions", response_model=list[Action])
def actions(application: answering.Served, limit: Limit = 100) -> Response:
    """Return what the engine did or wanted to do, newest first."""
    return answering.values(application.actions(limit))


@router.get("/v1/signals", response_model=list[Signal])
def signals(application: answering.Served, series: str = "", since: float = 0.0) -> Response:
    """Return signals of a series, or of all, after an instant, oldest first."""
    return answering.values(application.signals(series, since))
