"""What every `Forecaster` keeps; subclass `ForecasterSuite` and give it a fixture."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import pytest

from engine.model import documents
from engine.model.identifiers import PipelineName, TaskName
from engine.model.profiles import Profile, RunRecord
from engine.model.resources import Resource
from engine.model.specs import PipelineSpec, Serving, TaskKind, TaskSpec, Wishes
from engine.ports import Forecaster
from engine.testing import samples

FLEET = samples.fleet("a", "b")
TASKS = tuple(
    TaskSpec(
        name=TaskName(kind.value),
        kind=kind,
        serving=Serving(requests_per_second_peak=20.0) if kind is TaskKind.SERVE else None,
    )
    for kind in TaskKind
)
PIPELINE = samples.pipeline(*TASKS)


def past(kind: TaskKind, count: int, *, seconds: float = 30.0) -> list[RunRecord]:
    """Return so many runs of the task of a kind in `PIPELINE`, around a duration."""
    return [
        RunRecord(
            pipeline=PipelineName(PIPELINE.name),
            task=TaskName(kind.value),
            kind=kind,
            attributes={"rows": 1_000, "trials": 8},
            ended_at=1_000.0 * number,
            duration_seconds=seconds * (1.0 + 0.02 * (number % 5)),
            cpu_cores_mean=0.9,
            memory_gib_peak=0.5,
        )
        for number in range(count)
    ]


class ForecasterSuite:
    """The contract of the port `Forecaster`."""

    @pytest.fixture
    def forecaster(self) -> Forecaster:
        """Return the forecaster under test."""
        raise NotImplementedError

    @pytest.mark.parametrize("task", TASKS, ids=lambda task: task.kind.value)
    @pytest.mark.parametrize("count", [0, 1, 2, 40])
    def test_any_history_is_enough(
        self, forecaster: Forecaster, task: TaskSpec, count: int
    ) -> None:
        """It never fails for want of history, and names what it forecast."""
        profile = self._profile(forecaster, task, past(task.kind, count))
        assert (profile.task, profile.kind) == (task.name, task.kind)

    @pytest.mark.parametrize("task", TASKS, ids=lambda task: task.kind.value)
    def test_only_serving_has_no_end(self, forecaster: Forecaster, task: TaskSpec) -> None:
        """A task that ends has a duration; one that runs until it is replaced has none."""
        profile = self._profile(forecaster, task, [])
        assert (profile.duration_seconds is None) == (task.kind is TaskKind.SERVE)

    @pytest.mark.parametrize("task", TASKS, ids=lambda task: task.kind.value)
    def test_cpu_and_memory_are_needed(self, forecaster: Forecaster, task: TaskSpec) -> None:
        """Every task needs some of both, in finite amounts."""
        profile = self._profile(forecaster, task, past(task.kind, 3))
        for resource in (Resource.CPU, Resource.MEMORY):
            assert 0.0 < profile.peak(resource) < math.inf

    def test_the_same_arguments_give_the_same_bytes(self, forecaster: Forecaster) -> None:
        """A profile is part of a plan, whose id is a hash of it."""
        task, runs = TASKS[2], past(TaskKind.TRAIN, 12)
        first, second = (self._profile(forecaster, task, runs) for _ in range(2))
        assert documents.encode(first) == documents.encode(second)

    def test_the_order_of_the_history_does_not_matter(self, forecaster: Forecaster) -> None:
        """What the store returns first is no better evidence."""
        task, runs = TASKS[2], past(TaskKind.TRAIN, 12)
        first = self._profile(forecaster, task, runs)
        second = self._profile(forecaster, task, runs[::-1])
        assert documents.encode(first) == documents.encode(second)

    def test_many_runs_of_the_task_are_believed(self, forecaster: Forecaster) -> None:
        """The median lies among the durations that were measured."""
        runs = past(TaskKind.TRAIN, 40)
        profile = self._profile(forecaster, TASKS[2], runs)
        seconds = [run.duration_seconds for run in runs]
        assert profile.duration_seconds is not None
        assert 0.9 * min(seconds) <= profile.duration_seconds.p50 <= 1.1 * max(seconds)
        assert profile.evidence.like_run_count > 0

    def test_durations_of_failed_runs_teach_nothing(self, forecaster: Forecaster) -> None:
        """A run that failed early would make the next one look short."""
        failed = [dataclasses.replace(r, succeeded=False) for r in past(TaskKind.TRAIN, 20)]
        with_failed = self._profile(forecaster, TASKS[2], failed)
        without = self._profile(forecaster, TASKS[2], [])
        assert with_failed.duration_seconds == without.duration_seconds

    def test_what_a_person_insists_on_is_kept(self, forecaster: Forecaster) -> None:
        """Wishes stand above any forecast."""
        task = dataclasses.replace(TASKS[2], wishes=Wishes(cpu_cores=2.0, memory_gib=3.0))
        profile = self._profile(forecaster, task, past(TaskKind.TRAIN, 12))
        assert profile.peak(Resource.CPU) == pytest.approx(2.0)
        assert profile.peak(Resource.MEMORY) == pytest.approx(3.0)

    def test_machines_that_fit_come_cheapest_first(self, forecaster: Forecaster) -> None:
        """The list is a ranking, of pools that the fleet has."""
        profile = self._profile(forecaster, TASKS[2], past(TaskKind.TRAIN, 12))
        costs = [fit.cost_micro_dollars for fit in profile.machines]
        assert costs == sorted(costs)
        assert {fit.cluster for fit in profile.machines} == {"a", "b"}

    def _profile(
        self, forecaster: Forecaster, task: TaskSpec, history: Sequence[RunRecord]
    ) -> Profile:
        """Return the profile of a task of a pipeline that holds it."""
        others = tuple(each for each in TASKS if each.name != task.name)
        pipeline = PipelineSpec(name=PIPELINE.name, tasks=(*others, task))
        return forecaster.profile(pipeline, task, FLEET, history)
