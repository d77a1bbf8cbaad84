"""Whatever the pipeline, the failures and the crashes: nothing is started twice, all ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.dispatching import cancel, submit
from engine.model import documents
from engine.model.dispatches import AttemptOrder, AttemptState, Reason, RunState, TaskState
from engine.model.identifiers import PipelineName, TaskName
from engine.model.records import ATTEMPTS, DEPLOYMENTS, RUNS, TASK_RUNS
from engine.model.resources import Resources
from engine.model.specs import Join, PipelineSpec, Sla, TaskKind, TaskSpec
from engine.testing.crash import CrashPoints
from engine.testing.fakes import InstantSuspendingExecutor, Outcome
from engine.testing.samples import FixedFleet, chain, fleet, pipeline, plan
from engine.testing.world import STEPS_MAX, World

pytestmark = pytest.mark.slow

FAILURES = (Reason.EXIT_CODE, Reason.OUT_OF_MEMORY, Reason.GATE, Reason.KILLED)


class CrashError(BaseException):
    """Stands for the end of the process: no handler of the engine may catch it."""


def crash() -> None:
    raise CrashError


@st.composite
def pipelines(draw: st.DrawFn) -> PipelineSpec:
    """Draw a pipeline of up to six tasks, perhaps with a serve task at its end."""
    names = [TaskName(f"t{index}") for index in range(draw(st.integers(1, 6)))]
    tasks = [
        TaskSpec(
            name=name,
            kind=TaskKind.PACKAGE,
            after=tuple(draw(st.lists(st.sampled_from(names[:index]), unique=True)))
            if index
            else (),
            join=draw(st.sampled_from(Join)),
            when=draw(st.sampled_from([None, "true", "false"])),
            retries=draw(st.integers(0, 2)),
        )
        for index, name in enumerate(names)
    ]
    if draw(st.booleans()):
        serve = TaskSpec(
            name=TaskName("serve"), kind=TaskKind.SERVE, after=tuple(names), join=Join.ANY
        )
        tasks.append(serve)
    return pipeline(*tasks)


class Story(World):
    """A world with two small clusters, whose attempts end as drawn."""

    def __init__(self, spec: PipelineSpec, ends: Sequence[Outcome]) -> None:
        super().__init__(fleet("a", "b", node_count=1), self.drawn)
        self.spec = spec
        self.ends = ends

    def drawn(self, order: AttemptOrder) -> Outcome:
        if order.kind is TaskKind.SERVE:
            return Outcome(state=AttemptState.RUNNING)
        return self.ends[len(self.executor.starts) % len(self.ends)]

    def tell(self, crashes: Sequence[int], between: Callable[[int], object] | None = None) -> None:
        """Step until nothing is active, crashing at the points of these distances."""
        left = list(crashes)
        self.submit(self.spec)
        dispatcher = self.engine(counting(left))
        for step in range(STEPS_MAX):
            if between is not None:
                between(step)
            try:
                changed = dispatcher.step()
            except CrashError:
                dispatcher = self.engine(counting(left))
                continue
            active = self.ledger.select(RUNS, where={"state": RunState.ACTIVE.value})
            if not changed and not active:
                return
            self.clock.advance(1.0)
        pytest.fail("the run did not end")

    def withdraw(self, run_id: str, crashes: list[int]) -> None:
        """Cancel a run, repeating what crashes cut off, until nothing changes any more."""
        dispatcher = self.engine(counting(crashes))
        idle = 0
        for _ in range(STEPS_MAX):
            try:
                cancel(dispatcher.ledger, self.clock, run_id)
                idle = 0 if dispatcher.step() else idle + 1
            except CrashError:
                dispatcher = self.engine(counting(crashes))
            if idle > 1:  # The end of what a step stopped is seen by the next one.
                return
            self.clock.advance(1.0)
        pytest.fail("the model was not withdrawn")


def counting(left: list[int]) -> CrashPoints:
    """Return points that crash when as many as the next of `left` were passed."""

    class Counting(CrashPoints):
        remaining = left.pop(0) if left else None

        def passed(self, point: str) -> None:
            if self.remaining is not None:
                self.remaining -= 1
                if self.remaining < 0:
                    self.remaining = None
                    crash()

    return Counting()


outcomes = st.one_of(
    st.builds(Outcome, seconds=st.sampled_from([0.0, 2.0])),
    st.builds(Outcome, state=st.just(AttemptState.FAILED), reason=st.sampled_from(FAILURES)),
)
crash_distances = st.lists(st.integers(0, 40), max_size=8)


def check(world: Story) -> None:
    """Check what must hold at the end of any story."""
    assert all(count == 1 for count in world.executor.starts.values())
    attempts = [stored.value for stored in world.ledger.select(ATTEMPTS)]
    tasks = [stored.value for stored in world.ledger.select(TASK_RUNS)]
    stored_ids = {attempt.attempt_id for attempt in attempts}
    assert set(world.executor.starts) <= stored_ids
    for task in tasks:
        numbers = [a.number for a in attempts if (a.run_id, a.task) == (task.run_id, task.task)]
        assert sorted(numbers) == list(range(1, task.attempt + 1))
        assert task.state.is_terminal or task.kind is TaskKind.SERVE
    live = [attempt for attempt in attempts if not attempt.state.is_terminal]
    served = [stored.value.attempt_id for stored in world.ledger.select(DEPLOYMENTS)]
    assert [attempt.attempt_id for attempt in live if attempt.attempt_id not in served] == []


@given(pipelines(), st.lists(outcomes, min_size=1, max_size=6), crash_distances)
@settings(max_examples=20)
def test_nothing_starts_twice_and_every_run_ends(
    spec: PipelineSpec, ends: list[Outcome], crashes: list[int]
) -> None:
    world = Story(spec, ends)
    world.tell(crashes)
    check(world)
    world.close()


@given(pipelines(), crash_distances, st.integers(0, 10))
@settings(max_examples=12)
def test_a_cluster_that_goes_and_comes_back_changes_no_result(
    spec: PipelineSpec, crashes: list[int], down_from: int
) -> None:
    world = Story(spec, [Outcome(seconds=2.0)])

    def between(step: int) -> None:
        if step == down_from:
            world.fail("a")
        if step == down_from + 15:
            world.restore("a")

    world.tell(crashes, between)
    check(world)
    assert [stored.value.state for stored in world.ledger.select(RUNS)] == [RunState.SUCCEEDED]
    world.close()


@given(pipelines(), crash_distances, st.integers(0, 8))
@settings(max_examples=12)
def test_a_cancelled_run_leaves_nothing_behind(
    spec: PipelineSpec, crashes: list[int], cancelled_at: int
) -> None:
    world = Story(spec, [Outcome(seconds=3.0)])

    def between(step: int) -> None:
        if step == cancelled_at and world.run("r-1").state is RunState.ACTIVE:
            cancel(world.ledger, world.clock, "r-1")

    world.tell(crashes, between)
    world.settle(world.engine())
    check(world)
    if world.run("r-1").state is RunState.CANCELLED:
        assert world.ledger.select(DEPLOYMENTS) == []
    world.close()


@given(st.lists(st.integers(0, 12), max_size=8), st.integers(1, 2))
@settings(max_examples=12)
def test_a_withdrawn_model_stops_serving_whatever_crashes(crashes: list[int], runs: int) -> None:
    world = Story(chain(), [Outcome()])
    for _ in range(runs):
        world.tell([])
        world.clock.advance(1.0)
    world.withdraw(f"r-{runs}", list(crashes))
    check(world)
    assert world.ledger.select(DEPLOYMENTS) == []
    assert world.run(f"r-{runs}").state is RunState.CANCELLED
    world.close()


@given(crash_distances, st.sets(st.integers(1, 3)), st.integers(0, 2))
@settings(max_examples=12)
def test_the_newest_package_serves_unless_it_is_bad(
    crashes: list[int], bad: set[int], apart: int
) -> None:
    world = Story(chain(), [Outcome()])
    packages = {run: documents.sha256(f"r-{run}.package.1".encode()) for run in (1, 2, 3)}
    world.servers.bad = {packages[run] for run in bad}

    def between(step: int) -> None:
        if step in {apart, 2 * apart + 1}:
            world.clock.advance(0.5)
            world.submit(chain())

    world.tell(crashes, between)
    world.settle(world.engine())
    check(world)
    served = [stored.value.serving for stored in world.ledger.select(DEPLOYMENTS)]
    assert not world.servers.bad & set(served)
    assert 3 in bad or served == [packages[3]]
    world.close()


class Pressed(Story):
    """A world with room for two tasks, in which a more important pipeline comes later.

    Whatever is on machines at the same time never needs more than there is.
    """

    def __init__(self, tasks: int, seconds: float) -> None:
        each = (TaskSpec(name=TaskName(f"t{n}"), kind=TaskKind.ETL) for n in range(tasks))
        super().__init__(pipeline(*each), [Outcome(seconds=seconds)])
        self.clusters = FixedFleet(fleet("a", node_count=1))
        self.executor = self.suspending = InstantSuspendingExecutor(self.clock, self.drawn)

    def more_important(self, number: int, needs: float) -> None:
        """Submit a task that needs so many of the two cores, and weighs more than all before."""
        name = PipelineName(f"important{number}")
        only = (TaskSpec(name=TaskName("only"), kind=TaskKind.ETL),)
        spec = PipelineSpec(name=name, tasks=only, sla=Sla(weight=2.0 + number))
        made = plan(spec, self.clusters.clusters)
        held = Resources(cpu_cores=needs, memory_gib=0.5)
        places = tuple(replace(each, held=held) for each in made.placement.assignments)
        made = replace(made, placement=replace(made.placement, assignments=places))
        submit(self.ledger, self.clock, made, name)


@given(
    st.integers(1, 4),
    st.lists(st.tuples(st.integers(1, 12), st.sampled_from([1.0, 2.0])), max_size=3),
    st.lists(st.integers(0, 25), max_size=10),
    st.sampled_from([2.0, 7.0]),
)
@settings(max_examples=20)
def test_what_gives_way_is_neither_lost_nor_runs_twice_whatever_crashes(
    tasks: int, comes: list[tuple[int, float]], crashes: list[int], seconds: float
) -> None:
    world = Pressed(tasks, seconds)

    def between(step: int) -> None:
        for number, (at, needs) in enumerate(comes):
            if step == at:
                world.more_important(number, needs)
        on_machines = world.suspending.running()
        assert sum(order.limits.cpu_cores for order in on_machines) <= 2.0

    world.tell(crashes, between)
    check(world)
    attempts = [stored.value for stored in world.ledger.select(ATTEMPTS)]
    assert {attempt.state for attempt in attempts} == {AttemptState.SUCCEEDED}
    assert {attempt.number for attempt in attempts} == {1}
    gave_way = {a.attempt_id: a.suspension.count for a in attempts if a.suspension is not None}
    assert dict(world.suspending.suspensions) == {each: n for each, n in gave_way.items() if n}
    world.close()


def test_the_story_of_giving_way_has_suspensions() -> None:
    world = Pressed(4, 7.0)
    world.tell([9, 9, 9], lambda step: world.more_important(step, 2.0) if step == 3 else None)
    assert set(world.suspending.suspensions.values()) == {1}
    assert len(world.suspending.suspensions) == 2
    world.close()


@given(pipelines(), crash_distances)
@settings(max_examples=20)
def test_crashes_change_no_result(spec: PipelineSpec, crashes: list[int]) -> None:
    results = []
    for distances in ([], crashes):
        world = Story(spec, [Outcome()])
        world.tell(distances)
        tasks = [stored.value for stored in world.ledger.select(TASK_RUNS)]
        results.append([(task.task, task.state, task.artifact, task.attempt) for task in tasks])
        world.close()
    assert results[0] == results[1]


@pytest.mark.parametrize("state", [TaskState.SUCCEEDED, TaskState.RUNNING])
def test_the_drawn_stories_reach_the_states_they_are_about(state: TaskState) -> None:
    serve = TaskSpec(name=TaskName("serve"), kind=TaskKind.SERVE, after=(TaskName("t0"),))
    world = Story(
        pipeline(TaskSpec(name=TaskName("t0"), kind=TaskKind.PACKAGE), serve), [Outcome()]
    )
    world.tell([3, 5, 8])
    assert state in {stored.value.state for stored in world.ledger.select(TASK_RUNS)}
