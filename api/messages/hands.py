"""What people ask of alarms, and what they are told of what people said before."""

from __future__ import annotations

from dataclasses import dataclass

from engine.model.checks import CheckKind
from engine.model.feedback import Feedback, Verdict
from engine.watching import Month


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeQuestion:
    """Somebody takes a super-alarm; `seconds` is how long it shall not call again."""

    who: str = "somebody"
    seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ActQuestion:
    """Berth shall do what it offers about the likely cause of a super-alarm."""

    who: str = "somebody"


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchersQuestion:
    """Alarms that all matchers match (`signal=rows`, `subject=~model:.*`) shall be silent.

    seconds: how long, from now.
    """

    matchers: tuple[str, ...]
    seconds: float
    because: str
    who: str = "somebody"


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitQuestion:
    """Alarms that all matchers match shall be a super-alarm of their own."""

    matchers: tuple[str, ...]
    who: str = "somebody"


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeQuestion:
    """Another super-alarm shall become one with this one."""

    other: str
    who: str = "somebody"


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackQuestion:
    """Whether the first cause was right; `cause` says what it was instead."""

    verdict: Verdict
    cause: str = ""
    who: str = "somebody"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckFeedbackQuestion:
    """Whether the verdict of a check that Berth ran was right: its kind and what it looked at."""

    check: CheckKind
    subject: str
    verdict: Verdict
    who: str = "somebody"


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteQuestion:
    """A note for whoever comes next."""

    text: str
    who: str = "somebody"


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthlyPrecision:
    """How often first causes were right in a month (`2026-11`), of those that people judged."""

    month: str
    right: int
    wrong: int
    precision: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackAnswer:
    """The precision of first causes by month, newest first, and the newest feedback."""

    months: tuple[MonthlyPrecision, ...]
    newest: tuple[Feedback, ...]


def monthly(month: Month) -> MonthlyPrecision:
    """Return a month as it is told."""
    return MonthlyPrecision(
        month=month.month, right=month.right, wrong=month.wrong, precision=month.precision
    )
