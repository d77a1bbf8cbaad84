"""The bounds of stops, retries and roll-backs: pure functions, as in `guards`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine.model.alarms import LEFT, Action, Cause, CauseKind, Guard
from engine.model.identifiers import FREE, Digest, MicroDollars
from engine.model.specs import Scalar
from engine.watching import guards
from engine.watching.policy import MendPolicy

STOPPABLE = frozenset(
    {CauseKind.DATA, CauseKind.MODEL, CauseKind.CODE, CauseKind.CONFIGURATION, CauseKind.UNKNOWN}
)
"""Causes for which a training that is losing precision is stopped; what a machine or callers do to
it passes, and it goes on."""
RETRYABLE = frozenset({CauseKind.DATA, CauseKind.CODE, CauseKind.CONFIGURATION})
"""Causes that another configuration may cure."""
KNOWN_AFTER_SECONDS = 10.0
"""A server serves another model a moment before the engine has its answer and stores it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A stop, retry or roll-back that is considered; `past`: others of its kind and pipeline."""

    policy: MendPolicy
    cause: Cause
    now: float
    day_seconds: float
    past: Sequence[Action]
    cost_micro_dollars: MicroDollars = FREE


def of_stop(request: Request, *, is_lost: bool) -> tuple[Guard, ...]:
    """Return every guard of a stop: the training must have been below what it was for long."""
    has = "lost for long enough" if is_lost else "it may come back"
    return (
        _kind(request, STOPPABLE),
        Guard(name="precision", allows=is_lost, needs="lost for good", has=has),
        *_bounds(request),
    )


def of_retry(request: Request, former: Mapping[str, Scalar]) -> tuple[Guard, ...]:
    """Return every guard of a retry.

    former: parameters of the run that failed; the same again would end alike.
    """
    remedy = request.cause.remedy
    is_new = remedy is not None and any(
        former.get(name) != value for name, value in remedy.parameters.items()
    )
    has = "none is known" if remedy is None else remedy.description
    if remedy is not None and not is_new:
        has = "nothing that this run had not"
    return (
        _kind(request, RETRYABLE),
        Guard(name="remedy", allows=is_new, needs="another configuration", has=has),
        *_bounds(request),
    )


def of_roll_back(
    request: Request,
    *,
    changed_at: float | None,
    began_at: float,
    back: Digest | None,
    is_known: bool,
    is_lasting: bool,
) -> tuple[Guard, ...]:
    """Return every guard of a roll-back.

    changed_at: when the deployment that is undone came; began_at: when the first alarm came.
    back: the model to go back to; is_known: whether any served before, if only one that was left.
    is_lasting: whether the newest values are still worse than those under that model, and not just
    missing; a cause that a check settled needs no such look.
    """
    is_before = changed_at is not None and changed_at <= began_at + KNOWN_AFTER_SECONDS
    return (
        _kind(request, frozenset({CauseKind.CODE})),
        Guard(
            name="deployment",
            allows=is_before,
            needs="before the first alarm",
            has="before the first alarm" if is_before else "after it",
        ),
        Guard(
            name="model before",
            allows=back is not None,
            needs="one to go back to",
            has=back or ("one that was rolled back before" if is_known else "none"),
        ),
        Guard(
            name="still there",
            allows=is_lasting or bool(request.cause.settled),
            needs="worse than before the deployment",
            has="worse" if is_lasting else "as before, or silent",
        ),
        *_bounds(request),
    )


def left(request: Request) -> frozenset[Scalar | None]:
    """Return the models that roll-backs left before."""
    return frozenset(one.parameters.get(LEFT) for one in request.past if guards.is_spent(one))


def _kind(request: Request, allowed: frozenset[CauseKind]) -> Guard:
    needs = " or ".join(kind.value for kind in CauseKind if kind in allowed)
    kind = request.cause.kind
    return Guard(name="cause kind", allows=kind in allowed, needs=needs, has=kind.value)


def _bounds(request: Request) -> tuple[Guard, ...]:
    return (
        guards.alone(request),
        guards.cool_down(request),
        guards.times_per_day(request),
        guards.budget_per_day(request),
    )
