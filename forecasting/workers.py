"""How much faster more workers train: as a person says, else from a task's own runs.

Runs by some number of workers are held against those by fewest. What was never tried follows the
shape that is assumed of every training, from the largest number that was.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import replace

from engine.model.profiles import Method, RunRecord, Scaling
from engine.model.specs import PipelineSpec, TaskSpec
from engine.model.trainings import PRESET
from forecasting.profiles.runlog import LEAST_SECONDS

_FEWEST_NUMBERS = 2
"""Numbers of workers that have run: one says nothing of another."""
_RUNS_READ = 20
"""Newest runs of each number of workers that are looked at: a training changes with its data."""


def scaling(pipeline: PipelineSpec, task: TaskSpec, history: Sequence[RunRecord]) -> Scaling | None:
    """Return how a task gets faster with workers; None for one that none train together."""
    if task.workers is None:
        return None
    if task.workers.speed_ups:
        return Scaling(points=task.workers.speed_ups, method=Method.STATED)
    seconds = _seconds(pipeline, task, history)
    if len(seconds) < _FEWEST_NUMBERS:
        return PRESET
    fewest, most = min(seconds), max(seconds)
    base = seconds[fewest] * PRESET.speed_up(fewest)
    known = {count: base / taken for count, taken in seconds.items() if count > 1}
    further = known[most] / PRESET.speed_up(most)
    assumed = {n: further * factor for n, factor in PRESET.points if n > most}
    points = sorted({**known, **assumed}.items())
    return Scaling(
        points=tuple((count, round(factor, 4)) for count, factor in points),
        method=Method.OWN_RUNS,
    )


def alone(
    pipeline: PipelineSpec, task: TaskSpec, history: Sequence[RunRecord], known: Scaling | None
) -> Sequence[RunRecord]:
    """Return past runs with those of the task as one worker would have done them.

    They were written down by the speed-up of their plan; what is known now is better, and what the
    next plan counts with.
    """
    if known is None:
        return history
    return [
        replace(run, duration_seconds=_taken(run) * known.speed_up(run.workers))
        if _is_of(run, pipeline, task)
        else run
        for run in history
    ]


def _seconds(
    pipeline: PipelineSpec, task: TaskSpec, history: Sequence[RunRecord]
) -> dict[int, float]:
    """Return the median reference seconds of the newest runs of a task, by number of workers."""
    found: dict[int, list[RunRecord]] = {}
    for run in history:
        if run.succeeded and _is_of(run, pipeline, task):
            found.setdefault(run.workers, []).append(run)
    return {
        count: statistics.median(
            max(_taken(run), LEAST_SECONDS)
            for run in sorted(runs, key=lambda run: run.ended_at)[-_RUNS_READ:]
        )
        for count, runs in found.items()
    }


def _taken(run: RunRecord) -> float:
    """Return the reference seconds that a run took with all of its workers."""
    return run.duration_seconds / run.speed_up


def _is_of(run: RunRecord, pipeline: PipelineSpec, task: TaskSpec) -> bool:
    return (run.pipeline, run.task) == (pipeline.name, task.name)
