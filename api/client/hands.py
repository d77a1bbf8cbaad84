"""What people say about alarms, told to an engine over HTTP.

The methods are those of `api.wiring.hands_desk.HandsDesk`.
"""

from __future__ import annotations

from api.client.transport import Transport
from api.messages import hands
from engine.model.alarms import Action, SuperAlarm
from engine.model.feedback import CheckFeedback, Feedback, Folding, Silence


class RemoteHands:
    """What people may do with alarms of one engine. May be used from several threads."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def _ask(self, name: str, verb: str, question: object) -> SuperAlarm:
        path = f"/v1/super-alarms/{name}/{verb}"
        return self._transport.value(SuperAlarm, "POST", path, content=question)

    def take(self, name: str, question: hands.TakeQuestion) -> SuperAlarm:
        """Take a super-alarm."""
        return self._ask(name, "ack", question)

    def split(self, name: str, question: hands.SplitQuestion) -> tuple[SuperAlarm, SuperAlarm]:
        """Make a super-alarm of its own of some alarms; return what stays and what left."""
        return self._transport.value(
            tuple[SuperAlarm, SuperAlarm],
            "POST",
            f"/v1/super-alarms/{name}/split",
            content=question,
        )

    def merge(self, name: str, question: hands.MergeQuestion) -> SuperAlarm:
        """Make two super-alarms one."""
        return self._ask(name, "merge", question)

    def act(self, name: str, question: hands.ActQuestion) -> Action:
        """Have Berth do what it offers about the likely cause."""
        path = f"/v1/super-alarms/{name}/act"
        return self._transport.value(Action, "POST", path, content=question)

    def note(self, name: str, question: hands.NoteQuestion) -> SuperAlarm:
        """Add a note to a super-alarm."""
        return self._ask(name, "note", question)

    def feedback(self, name: str, question: hands.FeedbackQuestion) -> Feedback:
        """Keep whether the first cause was right."""
        path = f"/v1/super-alarms/{name}/feedback"
        return self._transport.value(Feedback, "POST", path, content=question)

    def check_feedback(self, name: str, question: hands.CheckFeedbackQuestion) -> CheckFeedback:
        """Keep whether the verdict of a check was right."""
        path = f"/v1/super-alarms/{name}/check-feedback"
        return self._transport.value(CheckFeedback, "POST", path, content=question)

    def judged(self) -> hands.FeedbackAnswer:
        """Return the precision of first causes by month, and the newest feedback."""
        return self._transport.value(hands.FeedbackAnswer, "GET", "/v1/feedback")

    def silence(self, question: hands.MatchersQuestion) -> Silence:
        """Fold alarms that match, for a while."""
        return self._transport.value(Silence, "POST", "/v1/silences", content=question)

    def silences(self) -> tuple[Silence, ...]:
        """Return silences, those that end last first."""
        return self._transport.value(tuple[Silence, ...], "GET", "/v1/silences")

    def end_silence(self, silence_id: str, who: str) -> Silence:
        """End a silence now."""
        path = f"/v1/silences/{silence_id}"
        return self._transport.value(Silence, "DELETE", path, query={"who": who})

    def foldings(self) -> tuple[Folding, ...]:
        """Return alarms that stand in no super-alarm with the reasons, newest first."""
        return self._transport.value(tuple[Folding, ...], "GET", "/v1/foldings")
