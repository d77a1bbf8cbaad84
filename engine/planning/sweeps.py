"""Sweeps: the same plan for a row of values of one key, and where the answer changes.

A sweep is written `KEY=A..B` (five values from A to B) or `KEY=A..B/STEP`: the keys of `what_if`,
with times of day (`deadline=02:00..08:00/30m`) or numbers in the same text
(`demand=x1..x2/0.25`, `budget=1..5 USD per run`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from engine.model.errors import Fault, InfeasibleError, InvalidInputError
from engine.model.identifiers import MicroDollars, PlanId
from engine.model.plans import Placement, Plan, task_key
from engine.model.profiles import RunRecord
from engine.planning.changes import what_if
from engine.planning.planner import Planner
from engine.ports import Watch

VALUES_MAX = 100
_VALUES = 5
_HOUR_MINUTES = 60
_DAY_MINUTES = 24 * _HOUR_MINUTES
_TIME = re.compile(r"(.*?)(\d{1,2}):(\d{2})(.*)")
_NUMBER = re.compile(r"(.*?)(\d+(?:\.\d+)?)(.*)")
_TIME_STEP = re.compile(r"(\d+(?:\.\d+)?) ?(h|min|m)")
_NUMBER_STEP = re.compile(r"(\d+(?:\.\d+)?)(.*)")
_SMALL = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """What the plan would be at one value.

    plan_id: None where no plan keeps every wish; `clash` then says why not.
    run_cost_micro_dollars, serving_micro_dollars_per_hour: over all pipelines.
    keep: least probability with which any of their deadlines is kept; None without deadlines.
    moved: tasks that stand elsewhere than in the plan that was asked about; turned: those that
        stand elsewhere than at the value before this one, as `PIPELINE/TASK`.
    """

    value: str
    plan_id: PlanId | None = None
    run_cost_micro_dollars: MicroDollars | None = None
    serving_micro_dollars_per_hour: MicroDollars | None = None
    keep: float | None = None
    moved: tuple[str, ...] = ()
    turned: tuple[str, ...] = ()
    unplaced: tuple[str, ...] = ()
    clash: str = ""

    @property
    def is_possible(self) -> bool:
        """Whether there is a plan at this value."""
        return self.plan_id is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """The points of a sweep, in the order of its values."""

    plan_id: PlanId
    key: str
    points: tuple[Point, ...]


def values_of(wanted: str) -> tuple[str, tuple[str, ...]]:
    """Return the key and the values of a sweep as it is written.

    Raises:
        InvalidInputError: when it cannot be read, or has more than `VALUES_MAX` values.
    """
    key, _, span = wanted.partition("=")
    first, dots, rest = span.partition("..")
    last, slash, step = rest.rpartition("/")
    if not slash or not _NUMBER_STEP.fullmatch(step.strip()):
        last, step = rest, ""  # a slash of the value's own, as in `50/s peak`
    reason = ""
    if key and dots:
        try:
            for read in (_times, _numbers):
                values = read(first.strip(), last.strip(), step.strip() or None)
                if values:
                    return key.strip(), values
        except _StepError as error:
            reason = f", {error}"
    fault = Fault(
        code="S021",
        message=f"the sweep is {wanted!r}{reason}",
        fix="write it as deadline=03:00..08:00/30m, demand=x1..x2/0.25 or "
        f"budget=1..5 USD per run, with at most {VALUES_MAX} values",
    )
    raise InvalidInputError("sweep", [fault])


def sweep(
    planner: Planner,
    plan: Plan,
    wanted: str,
    changes: Sequence[str],
    history: Sequence[RunRecord],
    *,
    watch: Watch | None = None,
) -> tuple[Sweep, tuple[Plan, ...]]:
    """Return a sweep, with the plans of its points that are possible. Nothing is stored.

    changes: made at every value, as in `what_if`. watch: told of better plans for each value; one
        that wants an end gets the values up to then.

    Raises:
        InvalidInputError: when the sweep, a value or a change cannot be read.
    """
    key, values = values_of(wanted)
    points: list[Point] = []
    plans: list[Plan] = []
    before = _places(plan.placement)
    for value in values:
        try:
            made = what_if(planner, plan, (*changes, f"{key}={value}"), history, watch=watch)
        except InfeasibleError as error:
            points.append(Point(value=value, clash=error.message))
        else:
            points.append(_point(value, made, _places(plan.placement), before))
            plans.append(made)
            before = _places(made.placement)
        if watch is not None and watch.wants_end():
            break
    return Sweep(plan_id=plan.plan_id, key=key, points=tuple(points)), tuple(plans)


def _point(value: str, made: Plan, now: dict[str, str], before: dict[str, str]) -> Point:
    promises = made.placement.promises
    kept = [p.keep_forecast for p in promises if p.keep_forecast is not None]
    places = _places(made.placement)
    return Point(
        value=value,
        plan_id=made.plan_id,
        run_cost_micro_dollars=MicroDollars(sum(p.run_cost_micro_dollars for p in promises)),
        serving_micro_dollars_per_hour=MicroDollars(
            sum(p.serving_micro_dollars_per_hour for p in promises)
        ),
        keep=min(kept, default=None),
        moved=_moved(now, places),
        turned=_moved(before, places),
        unplaced=tuple(task_key(u.pipeline, u.task) for u in made.placement.unplaced),
    )


def _places(placement: Placement) -> dict[str, str]:
    return {task_key(a.pipeline, a.task): f"{a.cluster}/{a.pool}" for a in placement.assignments}


def _moved(old: dict[str, str], new: dict[str, str]) -> tuple[str, ...]:
    keys = [*new, *(key for key in old if key not in new)]
    return tuple(key for key in keys if old.get(key) != new.get(key))


def _times(first: str, last: str, step: str | None) -> tuple[str, ...]:
    """Return times of day; an end before the start is on the next day."""
    low, high = _TIME.fullmatch(first), _TIME.fullmatch(last)
    length = None if step is None else _TIME_STEP.fullmatch(step)
    if low is None or high is None or (step is not None and length is None):
        return ()
    start, end = (int(m[2]) * _HOUR_MINUTES + int(m[3]) for m in (low, high))
    if end < start:
        end += _DAY_MINUTES
    minutes = None
    if length is not None:
        minutes = float(length[1]) * (_HOUR_MINUTES if length[2] == "h" else 1)
    found = (round(value) % _DAY_MINUTES for value in _row(float(start), float(end), minutes))
    return tuple(
        f"{low[1]}{m // _HOUR_MINUTES:02d}:{m % _HOUR_MINUTES:02d}{high[4]}" for m in found
    )


def _numbers(first: str, last: str, step: str | None) -> tuple[str, ...]:
    """Return numbers in the text around the first before them, and around the last after them."""
    low, high = _NUMBER.fullmatch(first), _NUMBER.fullmatch(last)
    length = None if step is None else _NUMBER_STEP.fullmatch(step)
    if low is None or high is None or (step is not None and length is None):
        return ()
    after = high[3]
    if length is not None and length[2].strip() not in {"", after.strip()}:
        return ()
    row = _row(float(low[2]), float(high[2]), None if length is None else float(length[1]))
    return tuple(f"{low[1]}{value:.12g}{after}" for value in row)


class _StepError(ValueError):
    """A step leads nowhere, or to too many values."""


def _row(start: float, end: float, step: float | None) -> list[float]:
    """Return the values from start to end; `_StepError` where the step does not lead there."""
    if step is None:
        return [start + (end - start) / (_VALUES - 1) * index for index in range(_VALUES)]
    if step <= 0:
        raise _StepError("whose step leads nowhere")
    count = int(abs(end - start) / step + _SMALL) + 1
    if count > VALUES_MAX:
        raise _StepError(f"which has {count:,} values")
    sign = 1 if end >= start else -1
    return [start + sign * step * index for index in range(count)]
