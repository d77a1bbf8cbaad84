"""A training by several workers: one attempt on all of its nodes, learned from as of one worker."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from engine.dispatching import submit
from engine.dispatching.ladder import Ladder
from engine.model.dispatches import AttemptOrder, AttemptState, Reason, RunState
from engine.model.failures import Failure
from engine.model.identifiers import AttemptId, Digest, TaskName
from engine.model.plans import Plan
from engine.model.profiles import Quantiles, RunRecord, Scaling
from engine.model.records import RUN_RECORDS
from engine.model.remedies import Remedy
from engine.model.resources import Resource
from engine.model.specs import TaskKind, TaskSpec, Workers
from engine.model.trainings import with_workers
from engine.testing import samples
from engine.testing.fakes import Outcome
from engine.testing.world import World

SCALING = Scaling(points=((4, 2.5),))
TASK = TaskSpec(
    name=TaskName("train"),
    kind=TaskKind.TRAIN,
    command=("torchrun", "net.py"),
    workers=Workers(least=1, most=4),
)


def planned(world: World, *, nodes: int = 2, workers: int = 4) -> Plan:
    """Return a plan that puts the workers on nodes, half a GiB for each of them."""
    plan = samples.plan(samples.pipeline(TASK), world.clusters.clusters)
    alone = replace(
        plan.profiles["heart/train"],
        use={resource: (Quantiles.constant(0.5),) for resource in (Resource.CPU, Resource.MEMORY)},
    )
    places = tuple(
        replace(each, node_count=nodes, workers=workers) for each in plan.placement.assignments
    )
    return replace(
        plan,
        profiles={"heart/train": with_workers(alone, SCALING, max(workers, 1))},
        placement=replace(plan.placement, assignments=places),
    )


class Fails:
    """Behaves as told, attempt after attempt, and succeeds then."""

    def __init__(self, *outcomes: Outcome) -> None:
        self.left = list(outcomes)

    def __call__(self, order: AttemptOrder) -> Outcome:
        return self.left.pop(0) if self.left else Outcome(outputs={"quality": 0.9}, seconds=4.0)


@pytest.fixture
def world() -> Iterator[World]:
    made = World(samples.fleet("a"), Fails())
    yield made
    made.close()


def run_to_its_end(world: World, plan: Plan) -> None:
    submit(world.ledger, world.clock, plan, "heart")
    world.settle(world.engine(), seconds=5.0)


def test_an_order_is_for_all_nodes_and_limits_each(world: World) -> None:
    run_to_its_end(world, planned(world))
    (order,) = world.executor.orders.values()
    assert (order.nodes, order.workers, order.workers_of_nodes) == (2, 4, (2, 2))
    assert order.limits == samples.HELD
    assert world.attempt(order.attempt_id).held == samples.HELD.times(2)


def test_workers_that_do_not_divide_are_spread() -> None:
    world = World(samples.fleet("a"), Fails())
    run_to_its_end(world, planned(world, workers=3))
    (order,) = world.executor.orders.values()
    assert order.workers_of_nodes == (2, 1)
    world.close()


def test_a_command_that_starts_once_has_no_workers(world: World) -> None:
    run_to_its_end(world, planned(world, workers=0))
    (order,) = world.executor.orders.values()
    assert (order.nodes, order.workers) == (1, 0)


def test_the_record_is_that_of_one_worker(world: World) -> None:
    plan = planned(world)
    run_to_its_end(world, plan)
    record = the_record(world)
    assert (record.workers, record.speed_up) == (4, 2.5)
    assert record.duration_seconds == pytest.approx(4.0 * 2.5)
    assert record.told is not None
    assert record.told.duration_seconds is not None
    assert record.told.duration_seconds.p50 == pytest.approx(samples.DURATION.p50)
    assert record.told.memory_gib.p50 == pytest.approx(0.5)


def test_a_lost_member_is_tried_again_on_all_nodes() -> None:
    world = World(
        samples.fleet("a"),
        Fails(
            Outcome(state=AttemptState.FAILED, reason=Reason.KILLED, message="a node was killed")
        ),
    )
    run_to_its_end(world, planned(world))
    assert world.run("r-1").state is RunState.SUCCEEDED
    orders = world.executor.orders.values()
    assert [(order.nodes, order.workers) for order in orders] == [(2, 4), (2, 4)]
    world.close()


def test_the_next_attempt_begins_with_what_the_last_one_left() -> None:
    killed = Outcome(state=AttemptState.FAILED, reason=Reason.KILLED)
    left = replace(killed, left=Digest("sha256:1"))
    world = World(samples.fleet("a"), Fails(left, killed))
    run_to_its_end(world, planned(world))
    orders = [world.executor.orders[AttemptId(f"r-1.train.{number}")] for number in (1, 2, 3)]
    assert [dict(order.inputs) for order in orders] == [
        {},
        {"train": "sha256:1"},
        {"train": "sha256:1"},
    ]
    world.close()


def test_a_command_that_starts_once_begins_anew() -> None:
    left = Outcome(state=AttemptState.FAILED, reason=Reason.KILLED, left=Digest("sha256:1"))
    world = World(samples.fleet("a"), Fails(left))
    run_to_its_end(world, planned(world, workers=0))
    assert world.attempt("r-1.train.1").left is None
    assert world.attempt("r-1.train.2").state is AttemptState.SUCCEEDED
    world.close()


def the_record(world: World) -> RunRecord:
    (stored,) = world.ledger.select(RUN_RECORDS)
    return stored.value


class Remembers(Ladder):
    """Chooses as the ladder does, and remembers the failures it was asked about."""

    def __init__(self) -> None:
        self.failures: list[Failure] = []

    def choose(self, failure: Failure) -> Remedy:
        self.failures.append(failure)
        return super().choose(failure)


def test_what_past_runs_needed_is_that_of_as_many_workers() -> None:
    done = Outcome(outputs={"quality": 0.9}, seconds=4.0)
    short = Outcome(state=AttemptState.FAILED, reason=Reason.OUT_OF_MEMORY)
    world = World(samples.fleet("a"), Fails(done, short))
    chooser = Remembers()
    plan = planned(world)
    run_to_its_end(world, plan)
    peak = the_record(world).memory_gib_peak
    submit(world.ledger, world.clock, plan, "heart")
    world.settle(replace(world.engine(), remedies=chooser))
    (failure,) = chooser.failures
    assert [run.memory_gib_peak for run in failure.runs] == [pytest.approx(4 * peak)]
    world.close()
