"""Why a profile is believed: the runs that speak for it, and the grounds of each quantity."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence

from engine.model.plans import task_key
from engine.model.profiles import Evidence, Grounds, LikeRun, Method, RunRecord
from engine.model.resources import Resource
from forecasting.estimation import Estimate
from forecasting.presets import Quantity
from forecasting.runs import Past

_NEAREST_SHOWN = 3
_LIKE_DISTANCE = 1.0
"""Runs within this distance count as like runs: the same model within a tenfold size."""


def evidence(
    past: Past,
    estimates: Mapping[Quantity, Estimate],
    leading: Quantity,
    stated: Sequence[Resource],
    *,
    version: int = 0,
    problem: str = "",
) -> Evidence:
    """Return the evidence of a profile.

    Args:
        past: Runs that speak for the task.
        estimates: Of each quantity that was forecast.
        leading: The quantity whose method, error and coverage are named first.
        stated: Resources that a person insists on.
        version: Of the learned models that were asked; 0 for none.
        problem: What is wrong with their store.
    """
    main = estimates[leading]
    names = [resource.value for resource in stated]
    others = [
        f"{quantity.label} by {told.method.value}"
        for quantity, told in estimates.items()
        if quantity is not Quantity.DURATION
        and told.method is not main.method
        and quantity.label not in names
    ]
    notes = [problem, *others, f"stated: {', '.join(names)}" if names else ""]
    preset_only = main.method is Method.PRESET
    return Evidence(
        method=Method.STATED if names and preset_only else main.method,
        like_run_count=int((past.distance <= _LIKE_DISTANCE).sum()),
        like_runs=tuple(
            LikeRun(
                name=run_name(record),
                distance=round(float(distance), 6),
                duration_seconds=record.duration_seconds,
            )
            for record, distance in zip(
                past.records[:_NEAREST_SHOWN], past.distance[:_NEAREST_SHOWN], strict=True
            )
        ),
        backtest_error=main.error,
        coverage_p95=main.coverage,
        note="; ".join(filter(None, notes)),
        grounds=tuple(
            _stated(told.grounds) if told.grounds.quantity in names else told.grounds
            for quantity, told in estimates.items()
            if quantity is not Quantity.DURATION or leading is Quantity.DURATION
        ),
        version=version,
    )


def _stated(grounds: Grounds) -> Grounds:
    """Return the grounds of what a person insists on."""
    return Grounds(quantity=grounds.quantity, method=Method.STATED, why="you stated it")


def run_name(record: RunRecord) -> str:
    """Return a past run's name: its task and when it ended."""
    ended = datetime.datetime.fromtimestamp(record.ended_at, datetime.UTC)
    return f"{task_key(record.pipeline, record.task)} of {ended:%Y-%m-%d %H:%M}"
