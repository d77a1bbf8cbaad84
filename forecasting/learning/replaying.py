"""The night's work on durations: all runs of a kind once more, each told before it began."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence

import numpy as np

from engine.model.learning import Score
from engine.model.profiles import RunRecord
from engine.model.specs import Scalar
from forecasting.learning.keys import run_key
from forecasting.learning.timed import (
    TASK,
    DurationModel,
    Logs,
    TimedModel,
    submission,
    submitted,
    usable,
)
from forecasting.methods.question import FLOOR
from forecasting.presets import Quantity, preset
from forecasting.profiles.durations import DurationForecaster, DurationLoss
from forecasting.runs import MOST_RUNS_READ

FEWEST_RUNS = 100
_GROWTH = 2.0
"""The forecaster is fitted anew whenever it knows so many times the runs of the last fit."""
_MOST_RUNS = 4_000
_DEFAULT_SECONDS = 60.0
_MOST_NUMBERS = 20
_MOST_GROUPINGS = 6
_SEVERAL = 4
"""Runs for each value that make an attribute one to group by."""
SCORE = "duration after the last runs"


def replay(
    records: Sequence[RunRecord], in_force: TimedModel | None, *, scored_from: float, seed: int
) -> tuple[DurationModel, Score] | None:
    """Return what a replay of one kind of task leaves, and its score; None from too few runs.

    Args:
        records: Runs of one kind in any order.
        in_force: The model that a new one is compared with.
        scored_from: Runs that ended later are scored.
        seed: Of the trees.
    """
    runs = sorted(usable(records), key=lambda run: run.ended_at - run.duration_seconds)
    runs = runs[-_MOST_RUNS:]
    if len(runs) < FEWEST_RUNS:
        return None
    numbers, groupings = _attributes(runs)
    forecaster = DurationForecaster(
        numbers=numbers,
        groupings=groupings,
        loss=DurationLoss.RATIO,
        default_seconds=_DEFAULT_SECONDS,
        seed=seed,
        counts_going=False,
    )
    told = _told(forecaster, runs)
    frozen = forecaster.frozen()
    scored = [run for run in runs if run_key(run) in told and run.ended_at >= scored_from]
    if frozen is None or not scored:
        return None
    latest = runs[-MOST_RUNS_READ:]
    model = DurationModel(
        kind=runs[0].kind,
        numbers=numbers,
        groupings=groupings,
        forecaster=frozen,
        told={key: told[key] for key in map(run_key, latest) if key in told},
    )
    before = None if in_force is None else _loss(scored, in_force.said(runs, scored))
    score = Score(
        kind=runs[0].kind,
        quantity=SCORE,
        run_count=len(runs),
        loss=_loss(scored, [told[run_key(run)] for run in scored]),
        loss_before=before,
        loss_preset=_loss(scored, [_preset(run) for run in scored]),
    )
    return model, score


def _told(forecaster: DurationForecaster, runs: Sequence[RunRecord]) -> dict[str, Logs]:
    """Lead a forecaster through runs; return what it told of each once it was fitted."""
    told: dict[str, Logs] = {}
    going: list[tuple[float, int]] = []
    known, due = 0, FEWEST_RUNS
    for place, run in enumerate(runs):
        asked = submitted(run)
        while going and going[0][0] <= asked.submitted_at:
            ended = heapq.heappop(going)[1]
            forecaster.update(str(ended), runs[ended].duration_seconds)
            known += 1
        if known >= due:
            forecaster.refit()
            due = math.ceil(_GROWTH * known)
        quantiles = forecaster.predict(
            submission(
                str(place), str(asked.attributes[TASK]), run.attributes, at=asked.submitted_at
            )
        )
        if due > FEWEST_RUNS:
            told[run_key(run)] = tuple(math.log(max(value, FLOOR)) for value in quantiles.values)
        heapq.heappush(going, (run.ended_at, place))
    for _, ended in sorted(going):
        forecaster.update(str(ended), runs[ended].duration_seconds)
    forecaster.refit()
    return told


def _attributes(
    runs: Sequence[RunRecord],
) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Return the attributes that are numbers, and what runs are grouped by, from fine to coarse.

    Attributes with few values for the number of runs make groups: all of them together, then
    without the one with most values, and so on down to the task alone and to any run.
    """
    values: dict[str, set[Scalar]] = {}
    for run in runs:
        for name, value in run.attributes.items():
            values.setdefault(name, set()).add(value)
    numbers = [n for n in sorted(values) if not any(isinstance(v, str) for v in values[n])]
    shared = [name for name in values if name != TASK and len(values[name]) * _SEVERAL < len(runs)]
    shared.sort(key=lambda name: (len(values[name]), name))
    chain = [(TASK, *shared[:count]) for count in range(len(shared), 0, -1)]
    groupings = (*chain[: _MOST_GROUPINGS - 1], (TASK,), ())
    return tuple(numbers[:_MOST_NUMBERS]), groupings


def _preset(run: RunRecord) -> Logs:
    return (math.log(max(preset(run.kind, run.attributes)[Quantity.DURATION], FLOOR)),)


def _loss(runs: Sequence[RunRecord], told: Sequence[Logs]) -> float:
    """Return the mean absolute logarithm of the median over the truth."""
    truth = np.log([max(run.duration_seconds, FLOOR) for run in runs])
    return float(np.abs(np.array([logs[0] for logs in told]) - truth).mean())
