"""Less important attempts give way to a more important task, and go on when there is room."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from engine.dispatching import cancel, observing, preempting, submit, suspending
from engine.dispatching.dispatcher import Dispatcher
from engine.model.dispatches import Attempt, AttemptState, Reason, Run, Suspension, TaskState
from engine.model.identifiers import (
    AttemptId,
    ClusterName,
    MicroDollars,
    PipelineName,
    RunId,
    TaskName,
)
from engine.model.plans import Plan, Promise
from engine.model.records import ATTEMPTS, PLANS, RUNS, Put
from engine.model.resources import Resources
from engine.model.specs import (
    BudgetPeriod,
    Deadline,
    Limits,
    PipelineSpec,
    Sla,
    TaskKind,
    TaskSpec,
)
from engine.testing import samples
from engine.testing.fakes import InstantSuspendingExecutor, Outcome
from engine.testing.world import World

LASTS = 100.0
ONE_DOLLAR = MicroDollars(1_000_000)
TWO = tuple(TaskSpec(name=TaskName(name), kind=TaskKind.ETL) for name in "tu")
ONE = TWO[:1]
BIG = Resources(cpu_cores=2.0, memory_gib=1.0)
HALF = Resources(cpu_cores=0.5, memory_gib=0.5)


class Pressed(World):
    """A world with room for two tasks on each cluster, whose executor can suspend."""

    def __init__(self) -> None:
        super().__init__(samples.fleet("a", "b", node_count=1))
        self.suspending = InstantSuspendingExecutor(self.clock, lambda _: Outcome(seconds=LASTS))
        self.executor = self.suspending

    def planned(self, spec: PipelineSpec, held: Resources = samples.HELD, where: str = "a") -> Plan:
        plan = samples.plan(spec, self.clusters.clusters, {task.name: where for task in spec.tasks})
        places = tuple(
            replace(each, held=held, cost_micro_dollars=MicroDollars(1_000))
            for each in plan.placement.assignments
        )
        return replace(plan, placement=replace(plan.placement, assignments=places))

    def ask(
        self,
        name: str,
        *tasks: TaskSpec,
        weight: float = 1.0,
        held: Resources = samples.HELD,
    ) -> Run:
        spec = PipelineSpec(name=PipelineName(name), tasks=tasks, sla=Sla(weight=weight))
        return submit(self.ledger, self.clock, self.planned(spec, held), name)

    def steps(self, dispatcher: Dispatcher, count: int = 4) -> None:
        for _ in range(count):
            self.clock.advance(1.0)
            dispatcher.step()

    def settled(self, dispatcher: Dispatcher) -> None:
        for _ in range(200):
            if not self.ledger.select(RUNS, where={"state": "active"}):
                return
            self.clock.advance(10.0)
            dispatcher.step()
        pytest.fail("the runs do not end")

    def running(self) -> list[str]:
        return sorted(order.pipeline for order in self.suspending.running())

    def off(self) -> Attempt:
        """The one attempt that is off its machine."""
        (known,) = self.suspending.suspended
        return self.attempt(known)

    def pressed(self, *tasks: TaskSpec, held: Resources = samples.HELD) -> tuple[Run, Run]:
        """Two tasks run, and an important one has taken the room of one of them."""
        dispatcher = self.engine()
        low = self.ask("low", *(tasks or TWO))
        self.steps(dispatcher)
        high = self.ask("high", *ONE, weight=5.0, held=held)
        self.steps(dispatcher)
        return low, high


@pytest.fixture
def world() -> Iterator[Pressed]:
    world = Pressed()
    yield world
    world.close()


def test_the_less_important_waits_and_goes_on_as_the_same_attempt(world: Pressed) -> None:
    low, high = world.pressed()
    assert world.running() == ["high", "low"]
    victim = world.off()
    assert (victim.state, victim.started_at) == (AttemptState.SUSPENDED, None)
    waits = world.task(low.run_id, victim.task)
    assert (waits.state, waits.reason, waits.attempt) == (TaskState.WAITING, Reason.PREEMPTED, 1)
    why = f"it gave way to t of {high.run_id}, and begins again when there is room"
    assert waits.message == why
    world.settled(world.engine())
    ended = world.attempt(victim.attempt_id)
    assert (ended.state, ended.number) == (AttemptState.SUCCEEDED, 1)
    assert set(world.suspending.starts.values()) == {1}
    assert world.suspending.suspensions == {victim.attempt_id: 1}
    assert ended.usage is not None
    assert ended.usage.duration_seconds == LASTS


def test_no_more_give_way_than_are_needed_when_they_leave_one_by_one(
    world: Pressed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever starts takes the room that was kept for it, in the same step."""
    dispatcher = world.engine()
    four = tuple(TaskSpec(name=TaskName(name), kind=TaskKind.ETL) for name in "tuvw")
    world.ask("low", *four, held=HALF)
    world.steps(dispatcher)
    leave, left = world.suspending.suspend, list[AttemptId]()

    def one_a_step(attempt: AttemptId) -> None:
        if not left:
            left.append(attempt)
            leave(attempt)

    monkeypatch.setattr(world.suspending, "suspend", one_a_step)
    world.ask("high", *TWO, weight=5.0, held=HALF)
    for _ in range(6):
        left.clear()
        world.steps(dispatcher, 1)
    assert world.running() == ["high", "high", "low", "low"]
    assert len(world.suspending.suspensions) == 2


def test_what_a_suspension_cost_is_written_down(world: Pressed) -> None:
    world.pressed()
    known = world.off().attempt_id
    world.settled(world.engine())
    gave_way = world.attempt(known).suspension
    assert gave_way is not None
    assert (gave_way.count, gave_way.since, gave_way.lost_seconds) == (1, None, 4.0)
    assert LASTS <= gave_way.seconds < LASTS + 20.0


def test_it_goes_on_with_what_the_plan_in_force_says(world: Pressed) -> None:
    low, _ = world.pressed()
    spec = world.planned(PipelineSpec(name=PipelineName("low"), tasks=TWO))
    smaller = world.planned(spec.request.pipelines[0], Resources(cpu_cores=0.5, memory_gib=0.25))
    smaller = replace(smaller, plan_id=type(smaller.plan_id)("p-smaller"))
    run = world.ledger.get(RUNS, low.run_id)
    assert run is not None
    replanned = replace(run.value, plan_id=smaller.plan_id)
    world.ledger.commit("re-plan", [Put(PLANS, smaller), Put(RUNS, replanned, run.version)])
    known = world.off().attempt_id
    world.settled(world.engine())
    assert world.suspending.orders[known].limits.memory_gib == 0.25
    assert world.attempt(known).held.memory_gib == 0.25


def test_where_the_plan_moved_its_task_another_attempt_follows(world: Pressed) -> None:
    low, _ = world.pressed()
    known = world.off()
    elsewhere = world.planned(PipelineSpec(name=PipelineName("low"), tasks=TWO), where="b")
    elsewhere = replace(elsewhere, plan_id=type(elsewhere.plan_id)("p-elsewhere"))
    run = world.ledger.get(RUNS, low.run_id)
    assert run is not None
    moved = replace(run.value, plan_id=elsewhere.plan_id)
    world.ledger.commit("re-plan", [Put(PLANS, elsewhere), Put(RUNS, moved, run.version)])
    world.steps(world.engine())
    assert world.attempt(known.attempt_id).state is AttemptState.STOPPED
    follows = world.attempt(f"{low.run_id}.{known.task}.2")
    assert (follows.cluster, follows.state) == ("b", AttemptState.RUNNING)


def test_as_few_as_possible_give_way_and_none_where_all_are_not_enough(world: Pressed) -> None:
    world.pressed(held=BIG)
    assert len(world.suspending.suspended) == 2
    world.ask("vast", *ONE, weight=9.0, held=BIG.times(2))
    world.steps(world.engine())
    assert "high" in world.running()


def test_who_is_not_needed_stays(world: Pressed) -> None:
    dispatcher = world.engine()
    world.ask("least", *ONE, weight=0.5, held=HALF)
    world.ask("less", *ONE, held=HALF.times(3))
    world.steps(dispatcher)
    world.ask("high", *ONE, weight=5.0, held=HALF.times(3))
    world.steps(dispatcher)
    assert world.running() == ["high", "least"]


def test_freed_room_is_kept_until_all_of_it_is_there(world: Pressed) -> None:
    dispatcher = world.engine()
    low = world.ask("low", *TWO)
    world.steps(dispatcher)
    world.suspending.slow.add(AttemptId(f"{low.run_id}.t.1"))
    waiting = world.ask("other", *ONE)
    high = world.ask("high", *ONE, weight=5.0, held=BIG)
    world.steps(dispatcher)
    assert world.running() == ["low"]
    assert world.attempt(f"{low.run_id}.t.1").state is AttemptState.SUSPENDING
    world.suspending.slow.clear()
    world.steps(dispatcher)
    assert world.running() == ["high"]
    world.settled(dispatcher)
    states = {world.run(each.run_id).state.value for each in (low, waiting, high)}
    assert states == {"succeeded"}


def test_room_is_not_kept_for_who_does_not_come(world: Pressed) -> None:
    dispatcher = world.engine()
    low = world.ask("low", *TWO)
    world.steps(dispatcher)
    world.suspending.slow.add(AttemptId(f"{low.run_id}.t.1"))
    high = world.ask("high", *ONE, weight=5.0, held=BIG)
    world.steps(dispatcher)
    cancel(world.ledger, world.clock, high.run_id)
    world.suspending.slow.clear()
    world.steps(dispatcher)
    assert world.running() == ["low", "low"]


def test_who_took_its_room_and_gave_way_itself_has_no_claim_on_it(world: Pressed) -> None:
    _, high = world.pressed()
    dispatcher = world.engine()
    highest = world.ask("highest", *ONE, weight=9.0, held=BIG)
    world.steps(dispatcher)
    assert world.running() == ["highest"]
    world.settled(dispatcher)
    states = {world.run(each.run_id).state.value for each in (high, highest)}
    assert states == {"succeeded"}


@pytest.mark.parametrize("weight", [1.0, 0.5])
def test_nobody_gives_way_to_one_that_is_not_more_important(world: Pressed, weight: float) -> None:
    dispatcher = world.engine()
    world.ask("low", *TWO)
    world.steps(dispatcher)
    world.ask("equal", *ONE, weight=weight)
    world.steps(dispatcher)
    assert world.running() == ["low", "low"]


def test_what_must_not_be_interrupted_is_left_alone(world: Pressed) -> None:
    world.pressed(*(replace(task, interruptible=False) for task in TWO))
    assert world.running() == ["low", "low"]


def test_a_cluster_that_cannot_suspend_is_left_alone(world: Pressed) -> None:
    world.suspending.lasting.add("a")
    world.pressed()
    assert world.running() == ["low", "low"]


def test_an_attempt_gives_way_only_so_often(world: Pressed) -> None:
    dispatcher = world.engine()
    world.ask("low", *ONE, held=BIG)
    for count in range(preempting.SUSPENSIONS_MOST):
        world.steps(dispatcher)
        high = world.ask(f"high{count}", *ONE, weight=5.0)
        world.steps(dispatcher)
        cancel(world.ledger, world.clock, high.run_id)
    world.steps(dispatcher)
    world.ask("last", *ONE, weight=5.0)
    world.steps(dispatcher)
    assert world.running() == ["low"]
    assert set(world.suspending.suspensions.values()) == {preempting.SUSPENSIONS_MOST}


def test_an_executor_that_does_not_answer_is_asked_again(world: Pressed) -> None:
    world.suspending.failing = True
    world.pressed()
    assert world.running() == ["low", "low"]
    world.suspending.failing = False
    world.steps(world.engine())
    assert world.running() == ["high", "low"]


def test_one_that_ends_before_it_leaves_has_its_result(world: Pressed) -> None:
    world.suspending.failing = True
    low, _ = world.pressed()
    world.clock.advance(LASTS)
    world.steps(world.engine())
    assert {world.task(low.run_id, name).state for name in "tu"} == {TaskState.SUCCEEDED}
    assert world.running() == ["high"]


def test_a_run_that_is_called_off_takes_its_suspended_attempt_along(world: Pressed) -> None:
    low, _ = world.pressed()
    known = world.off().attempt_id
    cancel(world.ledger, world.clock, low.run_id)
    world.steps(world.engine())
    assert world.attempt(known).state is AttemptState.STOPPED
    assert world.running() == ["high"]


def test_what_is_seen_to_leave_after_its_run_was_called_off_has_no_task(world: Pressed) -> None:
    dispatcher = world.engine()
    low = world.ask("low", *ONE)
    world.steps(dispatcher)
    known = AttemptId(f"{low.run_id}.t.1")
    cancel(world.ledger, world.clock, low.run_id)
    world.suspending.suspend(known)
    observing.observe(dispatcher, world.clusters.fleet(), dispatcher.live_attempts())
    assert world.attempt(known).state is AttemptState.SUSPENDED
    assert world.task(low.run_id, "t").state is TaskState.CANCELLED


def test_a_suspended_attempt_is_lost_with_its_cluster(world: Pressed) -> None:
    low, _ = world.pressed()
    known = world.off()
    world.hide("a")
    world.steps(world.engine(), 20)
    assert world.attempt(known.attempt_id).state is AttemptState.LOST
    assert world.task(low.run_id, known.task).waiting_for == ("a",)


def test_one_that_somebody_else_suspended_waits_for_room(world: Pressed) -> None:
    dispatcher = world.engine()
    low = world.ask("low", *ONE)
    world.steps(dispatcher)
    world.suspending.suspend(AttemptId(f"{low.run_id}.t.1"))
    observing.observe(dispatcher, world.clusters.fleet(), dispatcher.live_attempts())
    waits = world.task(low.run_id, "t")
    assert (waits.state, waits.waiting_for) == (TaskState.WAITING, ())
    assert waits.message == "it gave way, and begins again when there is room"
    world.settled(dispatcher)
    assert set(world.suspending.starts.values()) == {1}


def test_one_that_runs_although_it_was_suspended_has_to_leave_again(world: Pressed) -> None:
    world.pressed()
    known = world.off().attempt_id
    world.suspending.suspended.discard(known)
    dispatcher = world.engine()
    observing.observe(dispatcher, world.clusters.fleet(), dispatcher.live_attempts())
    assert world.attempt(known).state is AttemptState.SUSPENDING
    world.steps(dispatcher)
    assert world.attempt(known).state is AttemptState.SUSPENDED


def test_an_executor_that_is_gone_is_not_asked(world: Pressed) -> None:
    world.suspending.failing = True
    world.pressed()
    dispatcher = world.engine()
    executors = dict(dispatcher.executors)
    gone = replace(dispatcher, executors={})
    assert gone.executors != executors
    (stored,) = world.ledger.select(ATTEMPTS, where={"state": AttemptState.SUSPENDING.value})
    assert suspending.suspender(gone, stored.value) is None


class TestPromises:
    """An attempt gives way only where its own run keeps what it promised."""

    def gives_way(self, world: Pressed, spec: PipelineSpec, promise: Promise | None) -> bool:
        plan = world.planned(spec)
        promises = (promise,) if promise else ()
        plan = replace(plan, placement=replace(plan.placement, promises=promises))
        run = submit(world.ledger, world.clock, plan, spec.name)
        dispatcher = world.engine()
        world.steps(dispatcher)
        stored = dispatcher.run(run.run_id)
        assert stored is not None
        view = dispatcher.view(stored)
        attempt = world.attempt(f"{run.run_id}.t.1")
        now = world.clock.now()
        return preempting.keeps_budget(view, attempt, now) and preempting.keeps_deadline(
            view, attempt, now, now + 16.0
        )

    def promise(self, deadline: float | None = None, cost: int = 0) -> Promise:
        return Promise(
            pipeline=PipelineName("low"),
            deadline_seconds=deadline,
            keep_asked=0.95,
            keep_forecast=None,
            run_cost_micro_dollars=MicroDollars(cost),
            run_cost_micro_dollars_p95=MicroDollars(cost),
            serving_micro_dollars_per_hour=MicroDollars(0),
        )

    @pytest.mark.parametrize(
        ("deadline", "expected"),
        [(1_010.0, True), (1_025.0, False), (1_060.0, True), (None, True)],
        ids=["lost already", "would be lost", "kept", "none"],
    )
    def test_deadline(self, world: Pressed, deadline: float | None, expected: bool) -> None:
        sla = Sla(deadline=Deadline(at_seconds=deadline))
        spec = PipelineSpec(name=PipelineName("low"), tasks=ONE, sla=sla)
        assert self.gives_way(world, spec, self.promise(deadline)) is expected

    def test_a_deadline_that_may_be_missed_for_money_keeps_nobody(self, world: Pressed) -> None:
        sla = Sla(deadline=Deadline(at_seconds=1_025.0), late_micro_dollars_per_hour=ONE_DOLLAR)
        spec = PipelineSpec(name=PipelineName("low"), tasks=ONE, sla=sla)
        assert self.gives_way(world, spec, self.promise(1_025.0))

    def test_a_service_comes_back_nobody_knows_when(self, world: Pressed) -> None:
        sla = Sla(deadline=Deadline(at_seconds=9e9))
        spec = PipelineSpec(name=PipelineName("low"), tasks=ONE, sla=sla)
        assert self.gives_way(world, spec, self.promise(9e9))
        run = world.ledger.select(RUNS)[0]
        view = world.engine().view(run)
        attempt = world.attempt(f"{run.value.run_id}.t.1")
        assert not preempting.keeps_deadline(view, attempt, world.clock.now(), None)

    @pytest.mark.parametrize(("budget", "expected"), [(1_000, False), (10_000_000, True)])
    def test_budget(self, world: Pressed, budget: int, expected: bool) -> None:
        limits = Limits(budget_micro_dollars=MicroDollars(budget))
        spec = PipelineSpec(name=PipelineName("low"), tasks=ONE, limits=limits)
        assert self.gives_way(world, spec, self.promise(cost=1_000)) is expected

    def test_work_lost_before_counts_against_the_budget(self, world: Pressed) -> None:
        limits = Limits(budget_micro_dollars=MicroDollars(10_000))
        spec = PipelineSpec(name=PipelineName("low"), tasks=ONE, limits=limits)
        assert self.gives_way(world, spec, self.promise(cost=1_000))
        run = world.ledger.select(RUNS)[0]
        attempt = replace(
            world.attempt(f"{run.value.run_id}.t.1"), suspension=Suspension(lost_seconds=1e9)
        )
        assert not preempting.keeps_budget(world.engine().view(run), attempt, world.clock.now())

    def test_a_budget_by_the_month_is_that_of_services(self, world: Pressed) -> None:
        limits = Limits(budget_micro_dollars=MicroDollars(1), budget_period=BudgetPeriod.MONTH)
        spec = PipelineSpec(name=PipelineName("low"), tasks=ONE, limits=limits)
        assert self.gives_way(world, spec, self.promise(cost=1_000))

    def test_one_whose_promise_would_break_is_left_for_another(self, world: Pressed) -> None:
        dispatcher = world.engine()
        sla = Sla(deadline=Deadline(at_seconds=1_025.0))
        spec = PipelineSpec(name=PipelineName("tight"), tasks=ONE, sla=sla)
        plan = world.planned(spec)
        promise = replace(self.promise(1_025.0), pipeline=spec.name)
        plan = replace(plan, placement=replace(plan.placement, promises=(promise,)))
        world.ask("low", *ONE)
        world.steps(dispatcher, 1)
        submit(world.ledger, world.clock, plan, spec.name)
        world.steps(dispatcher, 3)
        world.ask("high", *ONE, weight=5.0)
        world.steps(dispatcher)
        assert world.running() == ["high", "tight"]


def test_what_is_held_or_kept_in_another_pool_keeps_nobody_out(world: Pressed) -> None:
    world.pressed()
    other = PipelineSpec(name=PipelineName("other"), tasks=TWO)
    submit(world.ledger, world.clock, world.planned(other, where="b"), "other")
    world.steps(world.engine())
    assert world.running() == ["high", "low", "other", "other"]
    assert world.off().cluster == ClusterName("a")
    assert world.off().run_id == RunId("r-1")
