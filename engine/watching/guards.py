"""The bounds that a retraining is held against: pure functions, one guard each.

A guard says what it needs and what there is, whether it allows the action or not, so that
people see why nothing happened.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from engine.model.alarms import Action, ActionState, Cause, CauseKind, Drift, Guard
from engine.model.identifiers import MicroDollars
from engine.model.specs import RetrainPolicy, RetrainTrigger

RETRAINABLE = frozenset({CauseKind.DATA, CauseKind.MODEL})
"""Causes that a new model may cure."""
_SPENT = frozenset({ActionState.WANTED, ActionState.STARTED, ActionState.DONE, ActionState.FAILED})
"""States in which an action counts: those that guards let through."""
_MICRO = 1_000_000


class Bounds(Protocol):
    """How often, after what pause and for how much something may be done."""

    @property
    def cool_down_seconds(self) -> float:
        """Least time after the last one ended."""
        ...

    @property
    def times_per_day(self) -> int:
        """Most within a day."""
        ...

    @property
    def budget_per_day_micro_dollars(self) -> MicroDollars | None:
        """What those of a day may cost; None for no bound."""
        ...


class Bounded(Protocol):
    """Anything that is considered and bounded: a retraining, a retry."""

    @property
    def policy(self) -> Bounds:
        """The bounds."""
        ...

    @property
    def now(self) -> float:
        """Now, in seconds."""
        ...

    @property
    def day_seconds(self) -> float:
        """What a day is to the bounds."""
        ...

    @property
    def past(self) -> Sequence[Action]:
        """Others of its kind."""
        ...

    @property
    def cost_micro_dollars(self) -> MicroDollars:
        """What it is expected to cost."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A retraining that is considered.

    past: other retrainings of the pipeline; quality: worst seen, None where none was measured;
    cost_micro_dollars: expected of the new run.
    drift: of the pipeline's model, None while too little is known; is_drift_watched: whether a
        detector decides over all models at all.
    """

    policy: RetrainPolicy
    cause: Cause
    now: float
    day_seconds: float
    past: Sequence[Action]
    quality: float | None
    cost_micro_dollars: MicroDollars
    drift: Drift | None = None
    is_drift_watched: bool = False


def guards(request: Request) -> tuple[Guard, ...]:
    """Return every guard with its outcome, in the order in which people read them."""
    return (
        cause_kind(request),
        trigger(request),
        remedy(request),
        drift(request),
        alone(request),
        cool_down(request),
        times_per_day(request),
        budget_per_day(request),
    )


def cause_kind(request: Request) -> Guard:
    """Only data and model causes lead to a retraining."""
    kind = request.cause.kind
    return Guard(
        name="cause kind", allows=kind in RETRAINABLE, needs="data or model", has=kind.value
    )


def trigger(request: Request) -> Guard:
    """The pipeline must have asked to be trained again for this."""
    wanted = request.policy.triggers
    bound, quality = request.policy.quality_below, request.quality
    drifted = RetrainTrigger.DRIFT in wanted
    is_bad = RetrainTrigger.QUALITY in wanted and (
        quality is not None and bound is not None and quality < bound
    )
    asked = [trigger.value for trigger in wanted if trigger is not RetrainTrigger.SCHEDULE]
    seen = "drift" if quality is None else f"drift, quality {quality:.2f}"
    needs = " or ".join(asked) or "a person"
    if bound is not None:
        needs = needs.replace("quality", f"quality below {bound:g}")
    return Guard(name="trigger", allows=drifted or is_bad, needs=needs, has=seen)


def remedy(request: Request) -> Guard:
    """Without a remedy a new run would learn from data that are known to be wrong."""
    known = request.cause.remedy
    return Guard(
        name="remedy",
        allows=known is not None,
        needs="a way to read the data right",
        has="none is known" if known is None else known.description,
    )


def drift(request: Request) -> Guard:
    """The model must have drifted by a test over all models, unless data are known to be wrong.

    A cause that a check settled needs no such test: a unit that changed is no drift. While too
    little is known of a model since its training, the alarm decides alone, as it does where no
    quality is measured.
    """
    known = request.drift
    if request.cause.settled:
        has, allows = "a check settled the cause", True
    elif not request.is_drift_watched or known is None:
        has, allows = "too few values since the last training", True
    elif known.is_found:
        has, allows = known.message, True
    else:
        has, allows = "no lasting loss of quality so far", False
    return Guard(name="drift", allows=allows, needs="a lasting loss of quality", has=has)


def alone(request: Bounded) -> Guard:
    """One of a kind and pipeline at a time."""
    busy = [a for a in request.past if a.state in {ActionState.WANTED, ActionState.STARTED}]
    has = ", ".join(action.run_id or action.action_id for action in busy) or "none"
    return Guard(name="one at a time", allows=not busy, needs="no other under way", has=has)


def cool_down(request: Bounded) -> Guard:
    """Some time must have passed since the last one ended."""
    spent = [action for action in request.past if is_spent(action)]
    ended = [action.ended_at for action in spent if action.ended_at is not None]
    needs = request.policy.cool_down_seconds
    if not ended:
        return Guard(name="cool-down", allows=True, needs=needs, has="never done before", unit="s")
    passed = request.now - max(ended)
    return Guard(name="cool-down", allows=passed >= needs, needs=needs, has=passed, unit="s")


def times_per_day(request: Bounded) -> Guard:
    """So many within a day, this one included."""
    has = float(len(_today(request)) + 1)
    most = float(request.policy.times_per_day)
    return Guard(name="times per day", allows=has <= most, needs=most, has=has)


def budget_per_day(request: Bounded) -> Guard:
    """What those of a day cost, this one's expected cost included."""
    budget = request.policy.budget_per_day_micro_dollars
    spent = sum(action.cost_micro_dollars for action in _today(request))
    has = (spent + request.cost_micro_dollars) / _MICRO
    if budget is None:
        return Guard(name="budget per day", allows=True, needs="no bound", has=has, unit="USD")
    return Guard(
        name="budget per day",
        allows=has <= budget / _MICRO,
        needs=budget / _MICRO,
        has=has,
        unit="USD",
    )


def _today(request: Bounded) -> list[Action]:
    since = request.now - request.day_seconds
    return [a for a in request.past if is_spent(a) and a.wanted_at > since]


def is_spent(action: Action) -> bool:
    """Return whether an action was let through: one held back to its end is done, too."""
    return action.state in _SPENT and all(guard.allows for guard in action.guards)
