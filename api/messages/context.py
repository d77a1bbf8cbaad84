"""What surrounds a super-alarm: what changed, what it may harm, what was like it, and more."""

from __future__ import annotations

from dataclasses import dataclass

from api.messages.hands import MonthlyPrecision
from engine.model.alarms import Alarm, Event, SuperAlarmState
from engine.model.feedback import CheckFeedback, Feedback
from engine.model.identifiers import PipelineName, SuperAlarmId


@dataclass(frozen=True, slots=True, kw_only=True)
class Risk:
    """One pipeline that is or may be harmed, with what was promised for it.

    ends_at_p95: when its run ends at the latest in 95 of 100 cases, by the plan.
    keep: probability that its deadline is kept, by the plan.
    """

    pipeline: PipelineName
    owner: str = ""
    run_id: str = ""
    run_state: str = ""
    is_serving: bool = False
    deadline_at: float | None = None
    ends_at_p95: float | None = None
    keep: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """A past super-alarm like this one; seconds from its first alarm to its end where it ended."""

    super_alarm_id: SuperAlarmId
    title: str
    cause: str
    state: SuperAlarmState
    opened_at: float
    done: str
    fixed_seconds: float | None = None
    verdict: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitHint:
    """How a group would fall into two: by a matcher, with the silhouette of both parts.

    silhouette: mean over alarms, from -1 to 1 (Rousseeuw 1987); above 0.5 the two are apart.
    """

    matcher: str
    leaving: int
    staying: int
    silhouette: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Everything about a super-alarm that does not stand in it.

    changes: in the hour before and since, people included. outside: alarms near in time that
    stand elsewhere. runbooks: addresses that alarms bring along.
    feedback: what a person said of its first cause; told: of that of earlier times.
    checks: what people said of its checks, this time that it came.
    feels: what those who call a model feel. back: series within their band again, of `series`.
    """

    changes: tuple[Event, ...] = ()
    risks: tuple[Risk, ...] = ()
    like: tuple[Past, ...] = ()
    outside: tuple[Alarm, ...] = ()
    split: SplitHint | None = None
    runbooks: tuple[str, ...] = ()
    feedback: Feedback | None = None
    told: tuple[Feedback, ...] = ()
    checks: tuple[CheckFeedback, ...] = ()
    months: tuple[MonthlyPrecision, ...] = ()
    feels: tuple[str, ...] = ()
    back: int = 0
    series: int = 0
