"""What is learned of last runs at night speaks by day: honestly, and only where it fits."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from engine.model.identifiers import PipelineName, TaskName
from engine.model.profiles import Method, Profile, RunRecord
from engine.model.specs import PipelineSpec, Scalar, TaskKind, TaskSpec
from engine.testing import samples
from forecasting.learning import replaying
from forecasting.learning.fitting import refit
from forecasting.learning.keys import run_key
from forecasting.learning.learned import Learned, Oracle
from forecasting.learning.timed import DurationModel, TimedModel, submitted
from forecasting.profiles import ranges
from forecasting.profiles.durations import DurationForecaster, DurationLoss
from forecasting.profiles.frozen import FrozenForecaster, within
from forecasting.profiles.runlog import RunLog
from forecasting.tasks import TaskForecaster

STEPS = (10, 20, 40, 80)
HOUR = 3_600.0


def run(number: int, *, steps: int, seconds: float, task: str = "paint") -> RunRecord:
    return RunRecord(
        pipeline=PipelineName("studio"),
        task=TaskName(task),
        kind=TaskKind.EVALUATE,
        attributes={"steps": steps, "style": "oil"},
        ended_at=HOUR * number + seconds,
        duration_seconds=seconds,
        cpu_cores_mean=1.0,
        memory_gib_peak=1.0,
    )


def log(count: int = 160, *, factor: float = 1.0) -> list[RunRecord]:
    """Runs of one task that take three seconds a step, within a tenth."""
    random = np.random.default_rng(count)
    return [
        run(n, steps=STEPS[n % 4], seconds=factor * 3.0 * STEPS[n % 4] * random.uniform(0.9, 1.1))
        for n in range(count)
    ]


def replayed(records: list[RunRecord]) -> DurationModel:
    found = replaying.replay(records, None, scored_from=HOUR * 120, seed=1)
    assert found is not None
    return found[0]


@pytest.fixture(scope="module")
def model() -> DurationModel:
    return replayed(log())


@pytest.fixture(scope="module")
def learned() -> Learned:
    found = refit(log(), None, number=1, now=1e9, seed=1)
    assert found is not None
    return found


def profile(learned: Learned, records: list[RunRecord], steps: int, task: str = "paint") -> Profile:
    parameters: dict[str, Scalar] = {"steps": steps, "style": "oil"}
    spec = TaskSpec(name=TaskName(task), kind=TaskKind.EVALUATE, parameters=parameters)
    pipeline = PipelineSpec(name=PipelineName("studio"), tasks=(spec,))
    forecaster = TaskForecaster(lambda: (Oracle(learned), ""))
    return forecaster.profile(pipeline, spec, samples.fleet("a"), records)


def median(told: Profile) -> float:
    assert told.duration_seconds is not None
    return told.duration_seconds.p50


def test_parameters_of_a_task_explain_its_duration(learned: Learned) -> None:
    long, short = (profile(learned, log(), steps) for steps in (80, 10))
    for told, seconds in ((long, 240.0), (short, 30.0)):
        assert median(told) == pytest.approx(seconds, rel=0.2)
        assert told.evidence.method is Method.TIMED
    losses = dict(long.evidence.grounds[0].losses)
    assert losses[Method.TIMED.value] < losses[Method.OWN_RUNS.value] / 2


def test_its_score_is_beside_the_others_and_beats_the_presets(learned: Learned) -> None:
    (score,) = (each for each in learned.version.scores if each.quantity == replaying.SCORE)
    assert learned.version.promoted
    assert score.loss < 0.3 < score.loss_preset


def test_a_later_version_is_held_against_the_one_before(learned: Learned) -> None:
    again = refit(log(), Oracle(learned), number=2, now=1e9, seed=1)
    assert again is not None
    (score,) = (each for each in again.version.scores if each.quantity == replaying.SCORE)
    assert score.loss_before == pytest.approx(score.loss, rel=0.5)


def test_runs_that_ended_since_the_night_are_followed(learned: Learned) -> None:
    slower = [dataclasses.replace(r, ended_at=r.ended_at + 160 * HOUR) for r in log(12, factor=2.0)]
    before, after = (profile(learned, records, 80) for records in (log(), log() + slower))
    assert median(after) > 1.2 * median(before)


def test_a_task_with_few_runs_of_its_own_is_told_by_others(learned: Learned) -> None:
    few = [run(n + 200, steps=10, seconds=30.0, task="new") for n in range(3)]
    told = profile(learned, log() + few, 10, task="new")
    assert Method.TIMED.value not in dict(told.evidence.grounds[0].losses)


def test_the_frozen_forecaster_says_what_the_one_that_learns_says() -> None:
    forecaster = DurationForecaster(
        numbers=("steps",),
        groupings=(("task", "steps"), ("task",), ()),
        loss=DurationLoss.SECONDS,
        default_seconds=60.0,
        seed=1,
        counts_going=False,
    )
    assert forecaster.frozen() is None
    runs = log()
    known = RunLog(
        numbers=("steps",),
        groupings=(("task", "steps"), ("task",), ()),
        counts_going=False,
    )
    for record in runs[:-1]:
        forecaster.predict(submitted(record))
        forecaster.update(run_key(record), record.duration_seconds)
        known.learn(submitted(record), record.duration_seconds)
    forecaster.refit()
    frozen = forecaster.frozen()
    assert frozen is not None
    row, recent = known.described(submitted(runs[-1]))
    said = FrozenForecaster(frozen).log_quantiles(row, recent, "studio/paint")
    told = forecaster.predict(submitted(runs[-1])).values
    assert [math.exp(log) for log in said] == pytest.approx(told)


def test_nothing_is_told_to_take_longer_than_a_run_can() -> None:
    assert within([3.0, 1e3]) == (3.0, math.log(ranges.MOST_SECONDS))


def test_a_model_that_was_not_there_yet_tells_of_old_runs_what_it_would_have(
    model: DurationModel,
) -> None:
    records = log()
    (said,) = TimedModel(model).said(records, records[:1])
    assert math.isfinite(said[0])
    assert run_key(records[0]) not in model.told
    assert run_key(records[-1]) in model.told


def test_durations_that_cannot_be_are_left_out(model: DurationModel) -> None:
    wrong = [dataclasses.replace(log()[5], duration_seconds=s) for s in (-1.0, math.nan, 1e12)]
    assert replayed([*log(), *wrong]).told == model.told


def test_too_few_runs_or_none_to_score_teach_nothing() -> None:
    assert replaying.replay(log(99), None, scored_from=0.0, seed=1) is None
    assert replaying.replay(log(), None, scored_from=1e12, seed=1) is None


def test_attributes_with_few_values_make_groups_and_long_ones_are_cut() -> None:
    records = [
        dataclasses.replace(r, attributes={**r.attributes, "prompt": n})
        for n, r in enumerate(log())
    ]
    model = replayed(records)
    assert model.numbers == ("prompt", "steps")
    assert model.groupings == (("task", "style", "steps"), ("task", "style"), ("task",), ())
