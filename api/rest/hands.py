"""Routes by which people say something about alarms."""

from __future__ import annotations

from typing import Annotated

import fastapi
from starlette.responses import Response

from api.messages import hands
from api.messages.notifying import NotifyQuestion, Routed
from api.rest import answering, bodies
from engine.model.alarms import Action, SuperAlarm
from engine.model.feedback import CheckFeedback, Feedback, Folding, Silence
from engine.model.messages import Message

router = answering.router("alarms")

Body = Annotated[bodies.RawBody, fastapi.Depends(bodies.raw_body)]


@router.post("/v1/super-alarms/{super_alarm_id}/ack", response_model=SuperAlarm)
def take(application: answering.Served, super_alarm_id: str, raw: Body) -> Response:
    """Take a super-alarm; the body may be `{"who": ..., "seconds": ...}`."""
    question = raw.read(hands.TakeQuestion)
    return answering.value(application.hands.take(super_alarm_id, question))


@router.post("/v1/super-alarms/{super_alarm_id}/split", response_model=list[SuperAlarm])
def split(application: answering.Served, super_alarm_id: str, raw: Body) -> Response:
    """Split off alarms: `{"matchers": ["cluster=eu-1"], "who": ...}`; what stays comes first."""
    question = raw.read(hands.SplitQuestion)
    return answering.values(application.hands.split(super_alarm_id, question))


@router.post("/v1/super-alarms/{super_alarm_id}/merge", response_model=SuperAlarm)
def merge(application: answering.Served, super_alarm_id: str, raw: Body) -> Response:
    """Make two super-alarms one: `{"other": ..., "who": ...}`; the older id stays."""
    question = raw.read(hands.MergeQuestion)
    return answering.value(application.hands.merge(super_alarm_id, question))


@router.post("/v1/super-alarms/{super_alarm_id}/act", response_model=Action)
def act(application: answering.Served, super_alarm_id: str, raw: Body) -> Response:
    """Have Berth do what it offers about the likely cause; the body may be `{"who": ...}`."""
    return answering.value(application.hands.act(super_alarm_id, raw.read(hands.ActQuestion)))


@router.post("/v1/super-alarms/{super_alarm_id}/note", response_model=SuperAlarm)
def note(application: answering.Served, super_alarm_id: str, raw: Body) -> Response:
    """Add a note: `{"text": ..., "who": ...}`."""
    question = raw.read(hands.NoteQuestion)
    return answering.value(application.hands.note(super_alarm_id, question))


@router.post("/v1/super-alarms/{super_alarm_id}/feedback", response_model=Feedback)
def give_feedback(application: answering.Served, super_alarm_id: str, raw: Body) -> Response:
    """Say whether the first cause is right: `{"verdict": "wrong", "cause": ..., "who": ...}`."""
    question = raw.read(hands.FeedbackQuestion)
    return answering.value(application.hands.feedback(super_alarm_id, question))


@router.post("/v1/super-alarms/{super_alarm_id}/check-feedback", response_model=CheckFeedback)
def give_check_feedback(application: answering.Served, super_alarm_id: str, raw: Body) -> Response:
    """Say whether a check is right: `{"check": ..., "subject": ..., "verdict": "wrong"}`."""
    question = raw.read(hands.CheckFeedbackQuestion)
    return answering.value(application.hands.check_feedback(super_alarm_id, question))


@router.get("/v1/feedback", response_model=hands.FeedbackAnswer)
def feedback(application: answering.Served) -> Response:
    """Return the precision of first causes by month, and the newest feedback."""
    return answering.value(application.hands.judged())


@router.get("/v1/silences", response_model=list[Silence])
def silences(application: answering.Served) -> Response:
    """Return silences, those that end last first."""
    return answering.values(application.hands.silences())


@router.post("/v1/silences", response_model=Silence)
def add_silence(application: answering.Served, raw: Body) -> Response:
    """Fold alarms: `{"matchers": ["signal=rows"], "seconds": 7200, "because": ..., "who": ...}`."""
    return answering.value(application.hands.silence(raw.read(hands.MatchersQuestion)))


@router.delete("/v1/silences/{silence_id}", response_model=Silence)
def end_silence(application: answering.Served, silence_id: str, who: str = "somebody") -> Response:
    """End a silence now; alarms that it folds and that still matter are grouped."""
    return answering.value(application.hands.end_silence(silence_id, who))


@router.get("/v1/messages", response_model=list[Message])
def messages(application: answering.Served) -> Response:
    """Return the newest messages to people, with how each went."""
    return answering.values(application.messages())


@router.post("/v1/notify-test", response_model=list[Routed])
def notify_test(application: answering.Served, raw: Body) -> Response:
    """Return which channels a super-alarm would go to; `{"send": true}` sends a test message."""
    return answering.values(application.notify_test(raw.read(NotifyQuestion)))


@router.get("/v1/foldings", response_model=list[Folding])
def foldings(application: answering.Served) -> Response:
    """Return alarms that stand in no super-alarm with the reasons, newest first."""
    return answering.values(application.hands.foldings())
