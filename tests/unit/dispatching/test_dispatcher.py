"""The dispatch loop: starts, results, retries, lost clusters, cancelled runs, terms."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.dispatching import cancel, desk, submit, submit_once
from engine.dispatching.desk import spec_of
from engine.expressions import CelConditions
from engine.model.dispatches import (
    AttemptOrder,
    AttemptState,
    Reason,
    RunCause,
    RunState,
    TaskState,
)
from engine.model.errors import (
    ConflictError,
    DamagedError,
    NotFoundError,
    RefusedError,
    RetryableError,
)
from engine.model.identifiers import ClusterName, TaskName
from engine.model.plans import Plan
from engine.model.records import (
    ATTEMPTS,
    CLUSTER_HEALTH,
    EVENTS,
    PIPELINES,
    PLANS,
    RUN_RECORDS,
    RUNS,
    TASK_RUNS,
    ClusterHealth,
    Delete,
    Put,
    Write,
)
from engine.model.resources import Resources
from engine.model.specs import Join, PipelineSpec, TaskKind, TaskSpec
from engine.testing import samples
from engine.testing.fakes import Outcome
from engine.testing.world import FixedConditions, World

ONE = samples.pipeline(TaskSpec(name=TaskName("etl"), kind=TaskKind.ETL))
TWO = samples.pipeline(
    TaskSpec(name=TaskName("etl"), kind=TaskKind.ETL),
    TaskSpec(name=TaskName("train"), kind=TaskKind.TRAIN, after=(TaskName("etl"),), when="good"),
)


def behaving(*outcomes: Outcome) -> World:
    """A world in which attempts come to these, in order of their number."""

    def behave(order: AttemptOrder) -> Outcome:
        return outcomes[int(order.attempt_id.rpartition(".")[2]) - 1]

    return World(behave=behave)


def failing(reason: Reason, message: str = "") -> Outcome:
    return Outcome(state=AttemptState.FAILED, reason=reason, message=message)


LASTING = Outcome(state=AttemptState.RUNNING)


class TestSubmission:
    def test_one_commit_holds_the_whole_run(self, world: World) -> None:
        run = world.submit(samples.chain())
        assert run.run_id == "r-1"
        assert world.ledger.get(PLANS, run.plan_id) is not None
        assert world.ledger.get(PIPELINES, "heart") is not None
        assert len(world.ledger.select(TASK_RUNS, where={"run_id": "r-1"})) == 4

    def test_a_pipeline_that_is_not_in_the_plan_is_not_found(self, world: World) -> None:
        plan = samples.plan(ONE, world.clusters.clusters)
        with pytest.raises(NotFoundError, match="'lung', only heart"):
            submit(world.ledger, world.clock, plan, "lung")

    def test_a_key_submits_once(self, world: World) -> None:
        plan = samples.plan(ONE, world.clusters.clusters)
        first = submit_once(world.ledger, world.clock, plan, "heart", key="k")
        second = submit_once(world.ledger, world.clock, plan, "heart", key="k")
        other = submit_once(world.ledger, world.clock, plan, "heart", key="l")
        assert first == second
        assert other.run_id == "r-2"

    def test_a_key_whose_run_is_gone_is_not_found(self, world: World) -> None:
        plan = samples.plan(ONE, world.clusters.clusters)
        submit_once(world.ledger, world.clock, plan, "heart", key="k")
        world.ledger.commit("test", [Delete(RUNS, "r-1")])
        with pytest.raises(NotFoundError, match="r-1"):
            submit_once(world.ledger, world.clock, plan, "heart", key="k")

    def test_a_spec_that_changed_leaves_an_event(self, world: World) -> None:
        world.submit(ONE)
        world.submit(ONE)
        world.submit(TWO)
        kinds = [stored.value.kind for stored in world.ledger.select(EVENTS)]
        assert kinds.count("schema") == 1

    def test_a_retraining_says_so(self, world: World) -> None:
        plan = samples.plan(ONE, world.clusters.clusters)
        submit(world.ledger, world.clock, plan, "heart", cause=RunCause.RETRAIN, reason="sa-1")
        (event,) = (stored.value for stored in world.ledger.select(EVENTS))
        assert event.message.startswith("retraining r-1")
        assert event.message.endswith("because of sa-1")


class Contended(World):
    """A world in which somebody else is faster, so many times."""

    def __init__(self, times: int) -> None:
        super().__init__()
        commit = self.ledger.commit
        left = iter(range(times))

        def contended(name: str, writes: list[Write]) -> None:
            if next(left, None) is not None:
                raise ConflictError("somebody else was faster")
            commit(name, writes)

        self.ledger.commit = contended  # type: ignore[method-assign,assignment]


class TestContention:
    def test_a_number_that_was_taken_is_passed_over(self) -> None:
        world = Contended(times=9)
        assert world.submit(ONE).run_id == "r-1"
        world.close()

    def test_submitting_gives_up_in_the_end(self) -> None:
        world = Contended(times=10)
        with pytest.raises(ConflictError, match="could not be submitted"):
            world.submit(ONE)
        world.close()

    def test_two_who_submit_one_key_get_one_run(self, world: World) -> None:
        plan = samples.plan(ONE, world.clusters.clusters)
        get, keys = world.ledger.get, iter(["hidden"])

        def stale(collection: object, key: str) -> object:
            return None if key == "submission:k" and next(keys, None) else get(collection, key)

        first = submit_once(world.ledger, world.clock, plan, "heart", key="k")
        world.ledger.get = stale  # type: ignore[method-assign,assignment]
        assert submit_once(world.ledger, world.clock, plan, "heart", key="k") == first

    def test_cancelling_gives_up_in_the_end(self, world: World) -> None:
        world.submit(ONE)

        def refuse(name: str, writes: object) -> None:
            raise ConflictError("somebody else was faster")

        world.ledger.commit = refuse  # type: ignore[method-assign]
        with pytest.raises(ConflictError, match="changed while"):
            cancel(world.ledger, world.clock, "r-1")

    def test_a_step_that_lost_is_left_to_the_next(self, world: World) -> None:
        world.submit(ONE)
        engine = world.engine()
        commit = world.ledger.commit

        def lose(name: str, writes: list[Write]) -> None:
            raise ConflictError("somebody else was faster")

        world.ledger.commit = lose  # type: ignore[method-assign,assignment]
        assert not engine.step()
        world.ledger.commit = commit  # type: ignore[method-assign]
        world.settle(engine)
        assert world.run("r-1").state is RunState.SUCCEEDED

    def test_an_engine_whose_term_is_over_stops(self, world: World) -> None:
        world.submit(ONE)
        old = world.engine()
        world.engine()
        with pytest.raises(RefusedError, match="another engine took over"):
            old.step()
        assert world.executor.starts == {}


class TestResults:
    def test_outputs_and_artefact_are_stored(self) -> None:
        world = behaving(Outcome(outputs={"rows": 3}))
        world.submit(ONE)
        world.settle(world.engine())
        task = world.task("r-1", "etl")
        assert (task.state, task.reason) == (TaskState.SUCCEEDED, Reason.COMPLETED)
        assert task.outputs == {"rows": 3}
        assert task.artifact is not None
        world.close()

    def test_a_run_record_speaks_of_the_reference_machine(self) -> None:
        spec = samples.pipeline(
            TaskSpec(name=TaskName("etl"), kind=TaskKind.ETL),
            TaskSpec(
                name=TaskName("train"),
                kind=TaskKind.TRAIN,
                after=(TaskName("etl"),),
                model=("knn",),
                trials=8,
            ),
        )
        done = Outcome(outputs={"rows": 3, "columns": 2, "nulls": 0}, seconds=4.0)
        world = World(samples.fleet("a", speed=2.0), lambda _order: done)
        world.submit(spec)
        world.settle(world.engine(), seconds=5.0)
        stored = world.ledger.select(RUN_RECORDS, where={"kind": "train"})
        (record,) = (each.value for each in stored)
        assert record.duration_seconds == 8.0
        assert record.attributes == {"rows": 3, "columns": 2, "trials": 8, "model": "knn"}
        assert record.succeeded
        assert record.told is not None
        assert record.told.plan == world.run("r-1").plan_id
        world.close()

    def test_nothing_was_told_of_a_task_without_a_profile(self) -> None:
        world = World(behave=lambda _order: Outcome(outputs={"rows": 3}))
        plan = replace(samples.plan(ONE, world.clusters.clusters), profiles={})
        submit(world.ledger, world.clock, plan, "heart")
        world.settle(world.engine())
        (stored,) = world.ledger.select(RUN_RECORDS)
        assert stored.value.told is None
        world.close()

    def test_an_order_says_what_the_task_needs(self) -> None:
        world = World(behave=lambda _order: Outcome(outputs={"rows": 3}))
        world.conditions = FixedConditions({"good": True})
        plan = samples.plan(TWO, world.clusters.clusters)
        parameters = {"train.unit.chol": "mmol/L", "etl.unit": "x"}
        submit(world.ledger, world.clock, plan, "heart", parameters=parameters)
        world.settle(world.engine())
        order = world.executor.orders[next(iter(sorted(world.executor.orders, reverse=True)))]
        assert order.task == "train"
        assert order.inputs == {"etl": world.task("r-1", "etl").artifact}
        assert order.parameters["overrides"] == {"unit.chol": "mmol/L"}
        assert order.parameters["upstream"] == {"etl": {"rows": 3}}
        assert order.limits == samples.HELD
        world.close()

    def test_events_tell_start_and_end(self, world: World) -> None:
        world.submit(ONE)
        world.settle(world.engine())
        messages = [each.value.message for each in world.ledger.select(EVENTS, order_by="at")]
        assert messages[0].startswith("run r-1 started under plan p-")
        assert messages[1] == "run r-1 succeeded"


class TestConditions:
    @pytest.mark.parametrize(
        ("good", "state", "reason", "run_state"),
        [
            (True, TaskState.SUCCEEDED, Reason.COMPLETED, RunState.SUCCEEDED),
            (False, TaskState.SKIPPED, Reason.CONDITION_FALSE, RunState.SUCCEEDED),
            (None, TaskState.FAILED, Reason.CONDITION_ERROR, RunState.FAILED),
        ],
    )
    def test_a_condition_decides_once_all_before_it_ended(
        self, *, good: bool | None, state: TaskState, reason: Reason, run_state: RunState
    ) -> None:
        world = World(behave=lambda _order: Outcome(outputs={"rows": 3}))
        answers = {} if good is None else {"good": good}
        world.conditions = FixedConditions(answers)
        world.submit(TWO)
        world.settle(world.engine())
        task = world.task("r-1", "train")
        assert (task.state, task.reason, world.run("r-1").state) == (state, reason, run_state)
        asked = world.conditions.asked["good"]
        etl = {"rows": 3, "parameters": {}, "state": "succeeded"}
        assert asked == {"etl": etl, "train": {"parameters": {}}}
        world.close()

    def test_a_loop_is_read_as_a_list_and_runs_as_many_at_once_as_it_may(self) -> None:
        running: list[int] = []
        loop = [
            TaskSpec(name=TaskName(f"t-{n}"), kind=TaskKind.ETL, loop=TaskName("t"), at_once=1)
            for n in (1, 2, 3)
        ]
        names = tuple(task.name for task in loop)
        after = TaskSpec(name=TaskName("a"), kind=TaskKind.ETL, after=names)
        yes = replace(after, name=TaskName("yes"), when="size(t) == 3 && t.all(x, x.rows == 3)")
        no = replace(after, name=TaskName("no"), when='t_1.state != "succeeded"')
        end = TaskSpec(
            name=TaskName("end"),
            kind=TaskKind.ETL,
            after=(no.name,),
            join=Join.DONE,
            when='no.state == "skipped"',
        )

        def behave(order: AttemptOrder) -> Outcome:
            states = [world.task("r-1", name).state for name in names]
            running.append(states.count(TaskState.RUNNING))
            return Outcome(outputs={"rows": 3})

        world = World(behave=behave)
        world.conditions = CelConditions()  # type: ignore[assignment]
        world.submit(samples.pipeline(*loop, yes, no, end))
        world.settle(world.engine())
        states = {name: world.task("r-1", name).state.value for name in ("yes", "no", "end")}
        assert states == {"yes": "succeeded", "no": "skipped", "end": "succeeded"}
        assert max(running[:3]) == 1
        world.close()

    def test_it_reads_parameters_those_of_the_run_first(self, world: World) -> None:
        etl = TaskSpec(name=TaskName("etl"), kind=TaskKind.ETL, parameters={"mode": "x", "n": 1})
        spec = replace(TWO, tasks=(etl, replace(TWO.tasks[1], when="etl.parameters.mode == 'y'")))
        world.conditions = CelConditions()  # type: ignore[assignment]
        plan = samples.plan(spec, world.clusters.clusters)
        submit(world.ledger, world.clock, plan, "heart", parameters={"etl.mode": "y"})
        submit(world.ledger, world.clock, plan, "heart")
        world.settle(world.engine())
        assert world.task("r-1", "train").state is TaskState.SUCCEEDED
        assert world.task("r-2", "train").state is TaskState.SKIPPED


class TestFailures:
    def test_a_failure_that_may_pass_is_tried_again(self) -> None:
        world = behaving(failing(Reason.EXIT_CODE), Outcome())
        world.submit(ONE)
        world.settle(world.engine())
        assert world.run("r-1").state is RunState.SUCCEEDED
        assert world.task("r-1", "etl").attempt == 2
        world.close()

    def test_after_the_retries_the_run_fails_and_says_why(self) -> None:
        world = behaving(*[failing(Reason.EXIT_CODE, "no such column")] * 3)
        world.submit(TWO)
        world.settle(world.engine())
        run = world.run("r-1")
        assert (run.state, run.reason) == (RunState.FAILED, "etl: no such column")
        assert world.task("r-1", "train").reason is Reason.UPSTREAM_FAILED
        world.close()

    def test_a_failure_without_words_is_named_by_its_reason(self) -> None:
        world = behaving(failing(Reason.GATE))
        world.submit(ONE)
        world.settle(world.engine())
        assert world.run("r-1").reason == "etl: a gate refused the model"
        world.close()

    def test_what_ran_out_of_memory_gets_more(self) -> None:
        world = behaving(failing(Reason.OUT_OF_MEMORY), Outcome())
        world.submit(ONE)
        world.settle(world.engine())
        assert world.attempt("r-1.etl.2").held == Resources(cpu_cores=1.0, memory_gib=1.5)
        records = [stored.value for stored in world.ledger.select(RUN_RECORDS)]
        assert [record.succeeded for record in records] == [False, True]
        world.close()

    def test_what_somebody_else_stopped_is_tried_again(self) -> None:
        world = behaving(LASTING, Outcome())
        world.submit(ONE)
        engine = world.engine()
        engine.step()
        world.executor.stop(world.attempt("r-1.etl.1").attempt_id)
        world.settle(engine)
        assert world.run("r-1").state is RunState.SUCCEEDED
        world.close()

    def test_an_input_that_is_damaged_fails_the_task(self, world: World) -> None:
        def refuse(order: AttemptOrder) -> None:
            raise DamagedError("the input is not what its digest says")

        world.executor.start = refuse  # type: ignore[method-assign]
        world.submit(ONE)
        world.settle(world.engine())
        assert world.task("r-1", "etl").reason is Reason.BAD_INPUT

    def test_a_start_that_may_pass_is_tried_again(
        self, world: World, caplog: pytest.LogCaptureFixture
    ) -> None:
        world.executor.hide("a")
        world.submit(ONE)
        engine = world.engine()
        engine.step()
        assert world.attempt("r-1.etl.1").state is AttemptState.INTENDED
        assert "was not started" in caplog.text
        world.executor.restore("a")
        world.settle(engine)
        assert world.executor.starts == {"r-1.etl.1": 1}

    def test_a_start_that_is_refused_for_longer_is_given_up(self, world: World) -> None:
        world.executor.hide("a")
        world.submit(ONE)
        engine = world.engine()
        engine.step()
        world.clock.advance(11.0)
        engine.step()
        assert world.attempt("r-1.etl.1").state is AttemptState.LOST
        world.executor.restore("a")
        world.settle(engine)
        assert world.executor.starts == {"r-1.etl.2": 1}


class TestPlaces:
    def test_a_task_waits_for_room_behind_those_who_hold_it(self) -> None:
        world = World(samples.fleet("a", node_count=1), lambda _order: Outcome(seconds=5.0))
        tasks = [TaskSpec(name=TaskName(name), kind=TaskKind.ETL) for name in "xyz"]
        world.submit(samples.pipeline(*tasks))
        engine = world.engine()
        engine.step()
        waiting = world.task("r-1", "z")
        assert (waiting.reason, waiting.waiting_for) == (Reason.CAPACITY, ("heart/x", "heart/y"))
        world.settle(engine, seconds=6.0)
        assert world.run("r-1").state is RunState.SUCCEEDED
        world.close()

    def test_a_task_without_a_place_waits(self, world: World) -> None:
        world.submit(ONE, {"etl": ""})
        world.settle(world.engine())
        assert world.task("r-1", "etl").reason is Reason.NO_PLACE

    def test_a_cluster_without_an_executor_is_no_place(self, world: World) -> None:
        clusters = world.clusters.clusters.clusters
        foreign = replace(clusters[0], executor="kubernetes")
        world.clusters.clusters = replace(
            world.clusters.clusters, clusters=(foreign, *clusters[1:])
        )
        world.submit(ONE)
        world.settle(world.engine())
        assert world.task("r-1", "etl").message == "there is no executor 'kubernetes'"

    def test_a_plan_that_is_not_stored_is_damage(self, world: World) -> None:
        run = world.submit(ONE)
        world.ledger.commit("test", [Delete(PLANS, run.plan_id)])
        with pytest.raises(DamagedError, match=run.plan_id):
            world.engine().step()

    def test_plans_are_read_once(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(desk, "_PLANS_KEPT", 64)
        engine = world.engine()
        for number in range(70):
            plan = samples.plan(ONE, world.clusters.clusters, as_of=float(number))
            submit(world.ledger, world.clock, plan, "heart")
        engine.step()
        assert len(engine.plans) <= 64

    def test_a_pipeline_of_another_name_is_not_in_the_plan(self) -> None:
        plan = samples.plan(ONE, samples.fleet("a"))
        with pytest.raises(KeyError):
            spec_of(plan, "lung")


def moved(world: World, plan: Plan, spec: PipelineSpec, cluster: str) -> None:
    """Put a re-plan in force, as planning does."""
    places = {task.name: cluster for task in spec.tasks}
    new = samples.plan(spec, world.clusters.clusters, places, as_of=world.clock.now())
    stored = world.ledger.get(RUNS, "r-1")
    assert stored is not None
    run = replace(stored.value, plan_id=new.plan_id)
    world.ledger.commit("test", [Put(PLANS, new), Put(RUNS, run, stored.version)])


class TestClusters:
    def test_what_a_failed_cluster_killed_is_lost_not_failed(self) -> None:
        world = behaving(LASTING, Outcome())
        world.submit(ONE)
        engine = world.engine()
        engine.step()
        world.fail("a")
        world.settle(engine)
        assert world.attempt("r-1.etl.1").state is AttemptState.LOST
        task = world.task("r-1", "etl")
        assert (task.state, task.reason) == (TaskState.WAITING, Reason.CLUSTER_DOWN)
        assert task.waiting_for == ("a",)
        world.close()

    def test_a_re_plan_moves_what_was_lost(self) -> None:
        world = behaving(LASTING, Outcome())
        run = world.submit(ONE)
        engine = world.engine()
        engine.step()
        world.fail("a")
        world.settle(engine)
        moved(world, engine.plan(run), ONE, "b")
        world.settle(engine)
        assert world.attempt("r-1.etl.2").cluster == "b"
        assert world.run("r-1").state is RunState.SUCCEEDED
        world.close()

    def test_no_successor_starts_before_the_grace_period(self) -> None:
        world = behaving(LASTING, Outcome())
        run = world.submit(ONE)
        engine = world.engine()
        engine.step()
        world.hide("a")
        engine.step()
        moved(world, engine.plan(run), ONE, "b")
        world.clock.advance(9.0)
        engine.step()
        assert world.task("r-1", "etl").attempt == 1
        world.clock.advance(1.0)
        world.settle(engine)
        assert world.task("r-1", "etl").attempt == 2
        world.close()

    def test_what_comes_back_with_its_cluster_is_stopped(self) -> None:
        world = behaving(LASTING, Outcome())
        run = world.submit(ONE)
        engine = world.engine()
        engine.step()
        world.hide("a")
        engine.step()
        moved(world, engine.plan(run), ONE, "b")
        world.clock.advance(10.0)
        world.settle(engine)
        world.restore("a")
        world.settle(engine)
        states = {each.attempt_id: each.state for each in world.executor.observe()}
        assert states["r-1.etl.1"] is AttemptState.STOPPED  # type: ignore[index]
        assert world.attempt("r-1.etl.1").state is AttemptState.LOST
        world.close()

    def test_what_is_not_ours_is_left_alone(self) -> None:
        world = behaving(LASTING)
        world.submit(ONE)
        engine = world.engine()
        engine.step()
        world.ledger.commit("test", [Delete(ATTEMPTS, "r-1.etl.1")])
        engine.step()
        (seen,) = world.executor.observe()
        assert seen.state is AttemptState.RUNNING
        world.close()

    def test_an_attempt_that_its_executor_forgot_is_lost_in_the_end(self) -> None:
        world = behaving(LASTING, Outcome())
        world.submit(ONE)
        engine = world.engine()
        engine.step()
        world.executor.forget(world.attempt("r-1.etl.1").attempt_id)
        engine.step()
        assert world.attempt("r-1.etl.1").state is AttemptState.RUNNING
        world.clock.advance(10.0)
        world.settle(engine)
        assert world.attempt("r-1.etl.1").state is AttemptState.LOST
        assert world.run("r-1").state is RunState.SUCCEEDED
        world.close()

    def test_a_cluster_that_left_the_fleet_loses_what_ran_there(self) -> None:
        world = behaving(LASTING, Outcome())
        world.submit(ONE)
        engine = world.engine()
        engine.step()
        world.clusters.clusters = samples.fleet("b")
        engine.step()
        world.clock.advance(10.0)
        world.settle(engine)
        assert world.attempt("r-1.etl.1").state is AttemptState.LOST
        assert world.task("r-1", "etl").reason is Reason.NO_PLACE
        world.close()

    def test_changes_of_clusters_leave_events(self, world: World) -> None:
        engine = world.engine()
        engine.step()
        world.fail("a")
        engine.step()
        world.clock.advance(1.0)
        world.restore("a")
        engine.step()
        found = [each.value.message for each in world.ledger.select(EVENTS, order_by="at")]
        assert found == ["cluster a does not answer", "cluster a answers again"]
        health = world.ledger.get(CLUSTER_HEALTH, "a")
        assert health is not None
        assert health.value == ClusterHealth(
            cluster=ClusterName("a"), reachable=True, since=1_001.0
        )

    def test_a_cluster_that_is_down_at_first_sight_leaves_an_event(self, world: World) -> None:
        world.fail("a")
        world.engine().step()
        (event,) = (stored.value for stored in world.ledger.select(EVENTS))
        assert event.message == "cluster a does not answer"

    def test_an_executor_that_does_not_answer_is_asked_again(
        self, world: World, caplog: pytest.LogCaptureFixture
    ) -> None:
        def silent() -> None:
            raise RetryableError("no answer")

        world.submit(ONE)
        engine = world.engine()
        world.executor.observe = silent  # type: ignore[method-assign,assignment]
        engine.step()
        assert "no answer" in caplog.text
        del world.executor.observe
        world.settle(engine)
        assert world.run("r-1").state is RunState.SUCCEEDED


class TestCancelling:
    def test_what_runs_is_stopped_and_what_waits_never_starts(self) -> None:
        world = behaving(LASTING)
        world.submit(TWO)
        engine = world.engine()
        engine.step()
        cancel(world.ledger, world.clock, "r-1")
        world.settle(engine)
        assert world.attempt("r-1.etl.1").state is AttemptState.STOPPED
        assert world.run("r-1").state is RunState.CANCELLED
        assert world.task("r-1", "train").state is TaskState.CANCELLED
        assert len(world.executor.starts) == 1
        world.close()

    def test_what_was_only_intended_never_starts(self, world: World) -> None:
        world.executor.hide("a")
        world.submit(ONE)
        engine = world.engine()
        engine.step()
        cancel(world.ledger, world.clock, "r-1")
        world.executor.restore("a")
        world.settle(engine)
        assert world.attempt("r-1.etl.1").state is AttemptState.STOPPED
        assert world.executor.starts == {}

    def test_a_stop_that_does_not_pass_is_repeated(self, caplog: pytest.LogCaptureFixture) -> None:
        world = behaving(LASTING)
        world.submit(ONE)
        engine = world.engine()
        engine.step()
        cancel(world.ledger, world.clock, "r-1")

        def silent(attempt: object) -> None:
            raise RetryableError("no answer")

        world.executor.stop = silent  # type: ignore[method-assign]
        engine.step()
        assert world.attempt("r-1.etl.1").state is AttemptState.RUNNING
        del world.executor.stop
        world.settle(engine)
        engine.step()
        assert world.attempt("r-1.etl.1").state is AttemptState.STOPPED
        assert "could not be stopped" in caplog.text
        world.close()

    def test_what_cannot_be_stopped_is_not_started_either(self, world: World) -> None:
        world.executor.hide("a")
        world.submit(ONE)
        engine = world.engine()
        engine.step()
        cancel(world.ledger, world.clock, "r-1")
        world.executor.restore("a")

        def silent(attempt: object) -> None:
            raise RetryableError("no answer")

        world.executor.stop = silent  # type: ignore[method-assign]
        engine.step()
        assert world.executor.starts == {}

    def test_an_ended_task_of_a_cancelled_run_keeps_its_result(self) -> None:
        world = World(behave=lambda order: LASTING if order.task == "train" else Outcome())
        world.conditions = FixedConditions({"good": True})
        world.submit(TWO)
        engine = world.engine()
        world.settle(engine)
        cancel(world.ledger, world.clock, "r-1")
        assert world.task("r-1", "etl").state is TaskState.SUCCEEDED
        world.close()

    def test_an_unknown_run_is_not_found(self, world: World) -> None:
        with pytest.raises(NotFoundError, match="r-9"):
            cancel(world.ledger, world.clock, "r-9")

    def test_a_run_that_ended_is_refused(self, world: World) -> None:
        world.submit(ONE)
        world.settle(world.engine())
        with pytest.raises(RefusedError, match="ended already: succeeded"):
            cancel(world.ledger, world.clock, "r-1")
