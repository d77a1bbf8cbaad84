"""What people say about alarms: takes, silences, splits, merges, feedback and notes."""

from __future__ import annotations

from collections.abc import Callable

from alarms.grouping.headlines import title_of
from api.messages import hands
from engine import watching
from engine.model.alarms import Action, ActionKind, SuperAlarm
from engine.model.feedback import CheckFeedback, Feedback, Folding, Silence
from engine.model.records import FEEDBACK, FOLDINGS, SILENCES
from engine.ports import Clock, Ledger

_NEWEST = 50
_FEEDBACK_MOST = 10_000


class HandsDesk:
    """Does what people ask of alarms. May be used from several threads.

    find: returns a super-alarm by its id or an alias of it.
    """

    def __init__(self, ledger: Ledger, clock: Clock, find: Callable[[str], SuperAlarm]) -> None:
        self._ledger = ledger
        self._clock = clock
        self._find = find

    def _id(self, name: str) -> str:
        return self._find(name).super_alarm_id

    def take(self, name: str, question: hands.TakeQuestion) -> SuperAlarm:
        """Take a super-alarm."""
        seconds = question.seconds
        if seconds is None:
            seconds = watching.ACKNOWLEDGED_SECONDS
        return watching.acknowledge(
            self._ledger, self._clock, self._id(name), question.who, seconds
        )

    def act(self, name: str, question: hands.ActQuestion) -> Action:
        """Have Berth do what it offers about the likely cause."""
        return watching.ask(self._ledger, self._clock, self._id(name), question.who)

    def offered(self, name: str) -> ActionKind | None:
        """Return what Berth could do about the likely cause, None for nothing."""
        return watching.offered(self._ledger, self._find(name))

    def split(self, name: str, question: hands.SplitQuestion) -> tuple[SuperAlarm, SuperAlarm]:
        """Make a super-alarm of its own of some alarms; return what stays and what left."""
        chosen = watching.matchers(question.matchers)
        return watching.split(
            self._ledger, self._clock, self._id(name), chosen, question.who, title_of
        )

    def merge(self, name: str, question: hands.MergeQuestion) -> SuperAlarm:
        """Make two super-alarms one."""
        other = self._id(question.other)
        return watching.merge(
            self._ledger, self._clock, self._id(name), other, question.who, title_of
        )

    def note(self, name: str, question: hands.NoteQuestion) -> SuperAlarm:
        """Add a note to a super-alarm."""
        return watching.note(self._ledger, self._clock, self._id(name), question.who, question.text)

    def feedback(self, name: str, question: hands.FeedbackQuestion) -> Feedback:
        """Keep whether the first cause was right."""
        return watching.give_feedback(
            self._ledger,
            self._clock,
            self._id(name),
            question.verdict,
            who=question.who,
            right_cause=question.cause,
        )

    def check_feedback(self, name: str, question: hands.CheckFeedbackQuestion) -> CheckFeedback:
        """Keep whether the verdict of a check was right."""
        return watching.give_check_feedback(
            self._ledger,
            self._clock,
            self._id(name),
            question.check,
            question.subject,
            question.verdict,
            who=question.who,
        )

    def judged(self) -> hands.FeedbackAnswer:
        """Return the precision of first causes by month, and the newest feedback."""
        found = self._ledger.select(FEEDBACK, order_by="at", descending=True, limit=_FEEDBACK_MOST)
        given = [stored.value for stored in found]
        months = watching.precision_by_month(given)
        return hands.FeedbackAnswer(
            months=tuple(hands.monthly(month) for month in months),
            newest=tuple(given[:_NEWEST]),
        )

    def silence(self, question: hands.MatchersQuestion) -> Silence:
        """Fold alarms that match, for a while."""
        return watching.add_silence(
            self._ledger,
            self._clock,
            watching.matchers(question.matchers),
            seconds=question.seconds,
            who=question.who,
            because=question.because,
        )

    def silences(self) -> tuple[Silence, ...]:
        """Return silences, those that end last first."""
        found = self._ledger.select(SILENCES, order_by="ends_at", descending=True, limit=_NEWEST)
        return tuple(stored.value for stored in found)

    def end_silence(self, silence_id: str, who: str) -> Silence:
        """End a silence now."""
        return watching.end_silence(self._ledger, self._clock, silence_id, who)

    def foldings(self) -> tuple[Folding, ...]:
        """Return alarms that stand in no super-alarm with the reasons, newest first."""
        found = self._ledger.select(FOLDINGS, order_by="at", descending=True, limit=_NEWEST)
        return tuple(stored.value for stored in found)
