"""Checks of what is stored: rows, requests, quality, configuration."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import pytest

from engine.model.checks import Check, CheckKind, Verdict
from engine.model.dispatches import Deployment, RunState, TaskState
from engine.model.identifiers import Digest, PipelineName, RunId, TaskName
from engine.model.records import DEPLOYMENTS, PLANS, RUNS, SIGNALS, TASK_RUNS, Delete, Put
from engine.model.signals import Layer, Signal
from engine.model.specs import PipelineSpec, Scalar, TaskKind, TaskSpec
from engine.testing.samples import pipeline
from engine.testing.world import World
from engine.watching.looks import HOUR_SECONDS, StoreLooks, other_changes, pooled

NOW = 100_000.0


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    made.clock.advance(NOW - made.clock.now())
    yield made
    made.close()


@pytest.fixture
def looks(world: World) -> StoreLooks:
    return StoreLooks(world.ledger, world.clock)


def ran(
    world: World, spec: PipelineSpec, state: RunState = RunState.SUCCEEDED, **outputs: Scalar
) -> None:
    """Store a run that ended, its first task with outputs."""
    world.clock.advance(1.0)
    run = world.submit(spec)
    stored = world.ledger.get(TASK_RUNS, f"{run.run_id}/{spec.tasks[0].name}")
    assert stored is not None
    done = TaskState.SUCCEEDED if state is RunState.SUCCEEDED else TaskState.FAILED
    task = dataclasses.replace(stored.value, state=done, outputs=outputs)
    ended = dataclasses.replace(run, state=state)
    world.ledger.commit("test", [Put(TASK_RUNS, task), Put(RUNS, ended)])


def etl(**parameters: Scalar) -> PipelineSpec:
    task = TaskSpec(name=TaskName("etl"), kind=TaskKind.ETL, parameters=parameters)
    return pipeline(task)


def measured(
    world: World, name: str, values: Sequence[tuple[float, float]], weight: float = 1.0
) -> None:
    signals = [
        Signal(
            name=name,
            layer=Layer.SERVING,
            subject="model:heart",
            at=at,
            value=value,
            weight=weight,
        )
        for at, value in values
    ]
    world.ledger.commit("test", [Put(SIGNALS, signal) for signal in signals])


def check(kind: CheckKind, subject: str, since: float = NOW - 600.0) -> Check:
    return Check(kind=kind, subject=subject, since=since)


class TestRows:
    CHECK = check(CheckKind.ROWS, "task:heart/etl")

    @pytest.mark.parametrize(
        ("rows", "nulls", "verdict"),
        [
            (1_000, 10, Verdict.DENIES),
            (600, 6, Verdict.CONFIRMS),
            (1_500, 15, Verdict.CONFIRMS),
            (1_000, 400, Verdict.CONFIRMS),
        ],
    )
    def test_the_newest_run_is_compared_with_earlier_ones(
        self, world: World, looks: StoreLooks, rows: int, nulls: int, verdict: Verdict
    ) -> None:
        for _ in range(3):
            ran(world, etl(), rows=1_000, nulls=10)
        ran(world, etl(), RunState.FAILED)
        ran(world, etl(), rows=rows, nulls=nulls)
        found, message = looks.rows(self.CHECK)
        assert found is verdict
        assert message.startswith(f"{rows} rows")

    def test_counts_that_are_no_numbers_are_left_out(self, world: World, looks: StoreLooks) -> None:
        ran(world, etl(), rows=1_000)
        ran(world, etl(), rows="many")
        ran(world, etl(), rows=1_000, nulls="few")
        assert looks.rows(self.CHECK)[1].startswith("etl has counted rows in 1 runs")

    def test_one_run_is_too_few(self, world: World, looks: StoreLooks) -> None:
        ran(world, etl(), rows=1_000)
        ran(world, etl())
        assert looks.rows(self.CHECK)[0] is Verdict.OPEN


def test_the_newest_values_come_first(world: World, looks: StoreLooks) -> None:
    measured(world, "columns", [(NOW - 20.0, 2.0), (NOW - 10.0, 3.0)])
    assert [one.value for one in looks.newest("model:heart|columns")] == [3.0, 2.0]


class TestRequests:
    CHECK = check(CheckKind.REQUESTS, "model:heart")

    @pytest.mark.parametrize(
        ("rate", "verdict"),
        [(300.0, Verdict.CONFIRMS), (105.0, Verdict.DENIES), (40.0, Verdict.OPEN)],
    )
    def test_they_are_compared_with_the_hour_before(
        self, world: World, looks: StoreLooks, rate: float, verdict: Verdict
    ) -> None:
        begin = NOW - 600.0
        measured(world, "requests", [(begin - HOUR_SECONDS + 60.0 * i, 100.0) for i in range(1, 9)])
        measured(world, "requests", [(begin + 60.0 * i, rate) for i in range(1, 9)])
        assert looks.requests(self.CHECK)[0] is verdict

    def test_from_nothing_they_rose(self, world: World, looks: StoreLooks) -> None:
        measured(world, "requests", [(NOW - 500.0 - HOUR_SECONDS, 0.0), (NOW - 500.0, 5.0)])
        assert looks.requests(self.CHECK)[0] is Verdict.CONFIRMS

    def test_without_values_it_is_open(self, world: World, looks: StoreLooks) -> None:
        assert looks.requests(self.CHECK)[0] is Verdict.OPEN
        later = dataclasses.replace(self.CHECK, since=NOW + 1.0)
        assert looks.requests(later) == (Verdict.OPEN, "the trouble has only begun")


class TestQuality:
    CHECK = check(CheckKind.QUALITY, "model:heart")

    def deployed(self, world: World, at: float | None) -> None:
        deployment = Deployment(
            pipeline=PipelineName("heart"),
            task=TaskName("serve"),
            run_id=RunId("r-1"),
            wanted=Digest("sha256:1"),
            swapped_at=at,
        )
        world.ledger.commit("test", [Put(DEPLOYMENTS, deployment)])

    @pytest.mark.parametrize(
        ("after", "weight", "verdict"),
        [
            (0.6, 100.0, Verdict.CONFIRMS),
            (0.9, 100.0, Verdict.DENIES),
            (0.8, 2.0, Verdict.OPEN),
        ],
    )
    def test_right_answers_are_compared(
        self, world: World, looks: StoreLooks, after: float, weight: float, verdict: Verdict
    ) -> None:
        self.deployed(world, NOW - 600.0)
        measured(world, "quality", [(NOW - 700.0 - i, 0.9) for i in range(5)], weight)
        measured(world, "quality", [(NOW - 500.0 + i, after) for i in range(5)], weight)
        assert looks.quality(self.CHECK)[0] is verdict

    @pytest.mark.parametrize(("fell_at", "side"), [(-300.0, "before"), (300.0, "after")])
    def test_what_fell_at_another_time_says_nothing(
        self, world: World, looks: StoreLooks, fell_at: float, side: str
    ) -> None:
        began = NOW - 600.0
        self.deployed(world, began)
        values = [(began + at, 0.9 if at < fell_at else 0.6) for at in range(-595, 600, 10)]
        measured(world, "quality", values, 100.0)
        verdict, message = looks.quality(self.CHECK)
        assert verdict is Verdict.OPEN
        assert message.endswith(f"but they fell 5 min {side} it")

    @pytest.mark.parametrize("then", ["sha256:0", "sha256:2"])
    def test_a_later_deployment_does_not_hide_it(
        self, world: World, looks: StoreLooks, then: str
    ) -> None:
        """Answers since it was undone are those of another model; one on top changes nothing."""
        began = NOW - 600.0
        self.deployed(world, None)
        stored = world.ledger.get(DEPLOYMENTS, "heart")
        assert stored is not None
        served = stored.value.swapped(Digest("sha256:0"), NOW - 5_000.0)
        served = served.swapped(Digest("sha256:1"), began).swapped(Digest(then), NOW - 300.0)
        world.ledger.commit("test", [Put(DEPLOYMENTS, served)])
        later = 0.9 if then == "sha256:0" else 0.6
        values = [(began - 50.0 - i, 0.9) for i in range(5)]
        values += [(began + 50.0 + i, 0.6) for i in range(5)]
        values += [(NOW - 250.0 + i, later) for i in range(50)]
        measured(world, "quality", values, 100.0)
        assert looks.quality(self.CHECK)[0] is Verdict.CONFIRMS

    def test_without_a_deployment_or_labels_it_is_open(
        self, world: World, looks: StoreLooks
    ) -> None:
        assert looks.quality(self.CHECK) == (Verdict.OPEN, "no deployment of heart is known")
        self.deployed(world, None)
        assert looks.quality(self.CHECK)[0] is Verdict.OPEN
        self.deployed(world, NOW - 600.0)
        measured(world, "quality", [(NOW - 500.0, 0.9)], 10.0)
        assert looks.quality(self.CHECK)[0] is Verdict.OPEN


class TestConfiguration:
    CHECK = check(CheckKind.CONFIGURATION, "pipeline:heart")

    def test_differences_from_the_last_good_run_are_named(
        self, world: World, looks: StoreLooks
    ) -> None:
        ran(world, etl(rate=0.1))
        ran(world, etl(rate=5.0), RunState.FAILED)
        ran(world, etl(rate=10.0, more=True), RunState.FAILED)
        found, message = looks.configuration(self.CHECK)
        assert found is Verdict.CONFIRMS
        assert message == (
            "r-3 and r-1, the last good run, differ: etl.more not set → True, etl.rate 0.1 → 10.0"
        )

    def test_the_same_configuration_denies(self, world: World, looks: StoreLooks) -> None:
        ran(world, etl(rate=0.1))
        ran(world, etl(rate=0.1), RunState.FAILED)
        assert looks.configuration(self.CHECK)[0] is Verdict.DENIES

    def test_without_a_good_run_or_its_plan_it_is_open(
        self, world: World, looks: StoreLooks
    ) -> None:
        assert looks.configuration(self.CHECK)[0] is Verdict.OPEN
        ran(world, etl(rate=0.1))
        ran(world, etl(rate=0.2), RunState.FAILED)
        (run, *_) = looks.runs("heart")
        world.ledger.commit("test", [Delete(PLANS, run.plan_id)])
        assert "not kept" in looks.configuration(self.CHECK)[1]

    def test_other_fields_and_tasks_are_named(self) -> None:
        train = TaskSpec(name=TaskName("train"), kind=TaskKind.TRAIN)
        before = pipeline(train, TaskSpec(name=TaskName("old"), kind=TaskKind.ETL))
        changed = dataclasses.replace(train, retries=train.retries + 1)
        after = pipeline(changed, TaskSpec(name=TaskName("new"), kind=TaskKind.ETL))
        assert other_changes(before, after) == [
            "new is new",
            "old is gone",
            "train differs in retries",
        ]


def test_no_trials_have_no_share() -> None:
    assert pooled([]) is None
