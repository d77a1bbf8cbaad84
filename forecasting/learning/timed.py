"""How long the next run of a task takes, told from its attributes and from the last runs.

Tasks that ran before are told better by what they took lately, beside what they are. A forecaster
of durations (`profiles.durations`) is led through all runs of a kind at night (`replaying`) and
frozen; what it told of each run before that began is kept for the back-test. By day it goes on to
see every run that ends: the last runs of equal and of partly equal attributes are what it looks at,
so that a profile follows a change at once. A run began at its end less its duration.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from engine.model.plans import task_key
from engine.model.profiles import QUANTILE_LEVELS, Method, RunRecord
from engine.model.specs import Scalar, TaskKind
from forecasting.learning.keys import run_key
from forecasting.methods.question import FLOOR, OWN_TESTS, Answer, Question
from forecasting.presets import Quantity
from forecasting.profiles import ranges
from forecasting.profiles.frozen import FrozenDurations, FrozenForecaster, group_name
from forecasting.profiles.runlog import RunLog, Submission

TASK = "task"
"""Attribute under which the forecaster knows which task a run is of."""

Logs = tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DurationModel:
    """A frozen forecaster of the durations of one kind of task.

    numbers, groupings: as in `RunLog`. told: logarithms of the quantiles of seconds that were told
    of a run before it began, by its key, of the latest runs.
    """

    kind: TaskKind
    numbers: tuple[str, ...]
    groupings: tuple[tuple[str, ...], ...]
    forecaster: FrozenDurations
    told: Mapping[str, Logs]


class TimedModel:
    """A duration model that answers."""

    def __init__(self, model: DurationModel) -> None:
        self._model = model
        self._frozen = FrozenForecaster(model.forecaster)

    def answer(self, asked: Question) -> Answer | None:
        """Return what is said of a task's duration, and was said of its tests.

        None for other quantities, and for a task with few runs of its own: what was told of others
        came from more than is known of it.
        """
        if asked.quantity is not Quantity.DURATION or len(asked.own) < OWN_TESTS:
            return None
        past = asked.past
        tests = [past.records[row] for row in asked.tested]
        latest = usable(past.latest)
        now = max(record.ended_at for record in past.latest)
        coming = submission("", past.task, past.attributes, at=now)
        *earlier, logs = self._said(latest, [*map(submitted, tests), coming])
        left_out = np.full(len(tests), np.nan)
        told = np.zeros((len(tests), len(QUANTILE_LEVELS)))
        for place, (record, row) in enumerate(zip(tests, asked.tested, strict=True)):
            said = self._model.told.get(run_key(record), earlier[place])
            measured = math.log(max(record.duration_seconds, FLOOR))
            preset = measured - float(asked.ratios[row])
            left_out[place] = said[0] - preset
            told[place] = np.array(said) - said[0]
        offsets = tuple(log - logs[0] for log in logs)
        return Answer(Method.TIMED, logs[0] - asked.base, left_out, offsets, told)

    def said(self, records: Sequence[RunRecord], of: Sequence[RunRecord]) -> list[Logs]:
        """Return what is said of each run before it began, from those that had ended by then."""
        spoken = self._said(usable(records), list(map(submitted, of)))
        return [
            self._model.told.get(run_key(record), logs)
            for record, logs in zip(of, spoken, strict=True)
        ]

    def _said(self, records: Iterable[RunRecord], runs: Sequence[Submission]) -> list[Logs]:
        """Return the logarithms for each run, from the records that had ended by then."""
        log = RunLog(
            numbers=self._model.numbers, groupings=self._model.groupings, counts_going=False
        )
        ends = sorted(records, key=lambda record: (record.ended_at, record.pipeline, record.task))
        found: dict[int, Logs] = {}
        known = 0
        for place in sorted(range(len(runs)), key=lambda place: runs[place].submitted_at):
            run = runs[place]
            while known < len(ends) and ends[known].ended_at <= run.submitted_at:
                log.learn(submitted(ends[known]), ends[known].duration_seconds)
                known += 1
            row, recent = log.described(run)
            group = group_name((run.attributes[TASK],))
            found[place] = self._frozen.log_quantiles(row, recent, group)
        return [found[place] for place in range(len(runs))]


def usable(records: Iterable[RunRecord]) -> list[RunRecord]:
    """Return the runs whose duration can be."""
    return [record for record in records if not ranges.seconds(record.duration_seconds, 0)]


def submitted(record: RunRecord) -> Submission:
    """Return a past run as it was submitted."""
    began = record.ended_at - record.duration_seconds
    name = task_key(record.pipeline, record.task)
    return submission(run_key(record), name, record.attributes, at=began)


def submission(name: str, task: str, attributes: Mapping[str, Scalar], *, at: float) -> Submission:
    """Return a run of a task as it is submitted."""
    return Submission(name=name, attributes={**attributes, TASK: task}, submitted_at=at)
