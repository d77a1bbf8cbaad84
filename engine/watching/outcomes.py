"""What came of an action: signals after it against those before the trouble, and during it. Pure.

What was done about a cause is a check of it. Signals that are as before confirm the cause; those
that are still worse, and no better than they were, deny it. What became better but is not as it
was says neither.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from engine.model.alarms import Action, ActionKind, Alarm, SuperAlarm
from engine.model.checks import Checked, CheckKind, Verdict
from engine.model.signals import Layer, Signal
from engine.watching import lasting

KINDS: Mapping[ActionKind, CheckKind] = MappingProxyType(
    {ActionKind.ROLL_BACK: CheckKind.ROLL_BACK, ActionKind.RETRAIN: CheckKind.RETRAINING}
)
"""Actions that change what serves, which its signals then show."""
_OF_CALLERS = "requests"
"""A signal that no model can put right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """When values are of before the trouble (< good_until), during it, and after the action."""

    good_until: float
    began_at: float
    done_at: float


def of(group: SuperAlarm, action: Action) -> Checked | None:
    """Return what came of an action of a super-alarm, None while that is not known."""
    done_at = math.inf if action.ended_at is None else action.ended_at
    key = (KINDS.get(action.kind), subject_of(action))
    known = [one for one in group.checks if (one.kind, one.subject) == key and one.at >= done_at]
    return known[0] if known else None


def subject_of(action: Action) -> str:
    """Return what an action changed: the model that its pipeline serves."""
    return f"model:{action.pipeline}"


def is_vain(group: SuperAlarm, action: Action) -> bool:
    """Return whether an action is known to have changed nothing."""
    found = of(group, action)
    return found is not None and found.verdict is Verdict.DENIES


def alarmed(group: SuperAlarm, action: Action) -> list[Alarm]:
    """Return the newest alarm of each series that a model could put right.

    Of the super-alarm that an action is about, only those before it.
    """
    is_its = action.super_alarm_id == group.super_alarm_id
    is_before = not is_its or action.wanted_at < group.reopened_at
    found: dict[str, Alarm] = {}
    for alarm in sorted(group.alarms, key=lambda each: (each.at, each.alarm_id)):
        is_model = alarm.labels.get("pipeline", action.pipeline) == action.pipeline
        is_answer = alarm.layer is Layer.SERVING and "feature" not in alarm.labels
        is_measured = alarm.test != "silence" and alarm.signal != _OF_CALLERS
        if is_model and is_answer and is_measured and (is_before or alarm.at <= action.wanted_at):
            found[alarm.series] = alarm
    return list(found.values())


def verdict(values: Sequence[Signal], span: Span, *, is_high: bool) -> Verdict:
    """Return what one series says: as before, no better than during the trouble, or neither.

    values: oldest first. is_high: whether larger values are the worse ones.
    """
    before, during, after = _parts(values, span)
    is_worse = lasting.lasts([*before, *after], span.done_at, is_high=is_high)
    if is_worse is None:
        return Verdict.OPEN
    if not is_worse:
        return Verdict.CONFIRMS
    is_better = lasting.lasts([*during, *after], span.done_at, is_high=not is_high)
    return Verdict.OPEN if is_better else Verdict.DENIES


def together(found: Sequence[Verdict]) -> Verdict:
    """Return what several series say: one thing only where all that say something agree."""
    said = {one for one in found if one is not Verdict.OPEN}
    return said.pop() if len(said) == 1 else Verdict.OPEN


def told(signal: str, values: Sequence[Signal], span: Span) -> str:
    """Return the numbers of a series: `quality is 0.68, was 0.69 until then and 0.84 before`."""
    before, during, after = ([one.value for one in part] for part in _parts(values, span))
    now = f"{signal.replace('_', ' ')} is {_mean(after[-lasting.NEWEST :])}"
    until = f"{_mean(during)} until then and " if during else ""
    return f"{now}, was {until}{_mean(before[-lasting.BEFORE :])} before the trouble"


def _parts(values: Sequence[Signal], span: Span) -> tuple[list[Signal], list[Signal], list[Signal]]:
    before = [one for one in values if one.at < span.good_until]
    during = [one for one in values if span.began_at <= one.at < span.done_at]
    after = [one for one in values if one.at >= span.done_at]
    return before, during, after


def _mean(values: Sequence[float]) -> str:
    return f"{statistics.fmean(values):.4g}"
