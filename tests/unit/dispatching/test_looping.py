"""Loops over a list that a task wrote: turns, values, skips beyond the end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.dispatching.looping import has_turn, with_value
from engine.dispatching.readiness import judge
from engine.expressions import CelConditions
from engine.model.dispatches import AttemptOrder, Reason, RunState, TaskRun, TaskState
from engine.model.identifiers import PipelineName, RunId, TaskName
from engine.model.specs import Join, Scalar, TaskKind, TaskSpec, Turn
from engine.testing import samples
from engine.testing.fakes import Outcome
from engine.testing.world import World

SPLIT, LOOP = TaskName("split"), TaskName("train")


def turn(number: int, most: int = 3) -> TaskSpec:
    return TaskSpec(
        name=TaskName(f"train-{number}"),
        kind=TaskKind.TRAIN,
        after=(SPLIT,),
        loop=LOOP,
        at_once=2,
        command=("fit", "{{part}}", "{{part.rows}}", "{{other}}"),
        reads="{{part}}.csv",
        writes="out/{{part}}",
        image="i:{{part}}",
        parameters={"name": "p{{part}}", "depth": 3},
        turn=Turn(task=SPLIT, output="parts", parameter="part", number=number, most=most),
    )


def wrote(parts: Scalar | None, state: TaskState = TaskState.SUCCEEDED) -> dict[TaskName, TaskRun]:
    run = TaskRun(
        run_id=RunId("r-1"),
        pipeline=PipelineName("p"),
        task=SPLIT,
        kind=TaskKind.ETL,
        state=state,
        outputs={} if parts is None else {"parts": parts},
    )
    return {SPLIT: run}


def test_a_turn_has_the_value_of_its_number() -> None:
    tasks = wrote('["a", true]')
    first, second = with_value(turn(1), tasks), with_value(turn(2), tasks)
    assert first.command == ("fit", "a", "{{part.rows}}", "{{other}}")
    assert (first.reads, first.writes, first.image) == ("a.csv", "out/a", "i:a")
    assert first.parameters == {"name": "pa", "depth": 3, "part": "a"}
    assert second.command[1] == "true"
    plain = replace(turn(1), reads=None, writes=None, image=None)
    assert with_value(plain, tasks).reads is None


def test_of_a_mapping_every_key_is_a_value() -> None:
    found = with_value(turn(1), wrote('[{"rows": 7}]'))
    assert found.command[2] == "7"
    assert found.parameters["part.rows"] == 7


def test_other_tasks_are_as_they_were() -> None:
    task = replace(turn(1), turn=None)
    assert with_value(task, {}) is task
    assert has_turn(task, {}).may_start


def test_turns_beyond_the_list_are_skipped() -> None:
    assert has_turn(turn(2), wrote("[1, 2]")).may_start
    judged = has_turn(turn(3), wrote("[1, 2]"))
    assert (judged.state, judged.reason) == (TaskState.SKIPPED, Reason.NO_VALUE)
    assert judged.message == "split.parts has 2 values"
    failed = has_turn(turn(1), wrote(None, TaskState.FAILED))
    assert failed.reason is Reason.NO_VALUE


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        (None, "split.parts was not written"),
        ("[1", "split.parts is not JSON"),
        ("[" * 100_000, "split.parts is not JSON"),
        ("3", "split.parts is no list"),
        (3, "split.parts is no list"),
        ("[1, 2, 3, 4]", "split.parts has 4 values, and the plan has room for 3"),
        ("[null]", "split.parts holds None, no small value"),
        ("[NaN]", "split.parts holds nan, no small value"),
        ("[1" + "0" * 400 + "]", "split.parts holds 1000"),
        (r'["\u0000"]', r"split.parts holds '\x00', no small value"),
        (r'["\ud800"]', r"split.parts holds '\ud800', no small value"),
        ('[{"a": [1]}]', "split.parts holds [1], no small value"),
    ],
)
def test_what_is_no_list_of_values_fails_the_task(parts: Scalar | None, why: str) -> None:
    judged = has_turn(turn(1), wrote(parts))
    assert (judged.state, judged.reason) == (TaskState.FAILED, Reason.BAD_INPUT)
    assert judged.message.startswith(why)
    assert len(judged.message) < 200


@pytest.mark.parametrize(
    ("join", "expected"),
    [(Join.ALL, TaskState.WAITING), (Join.ANY, TaskState.SKIPPED), (Join.DONE, TaskState.WAITING)],
)
def test_what_comes_after_an_empty_loop(join: Join, expected: TaskState) -> None:
    beyond = replace(wrote(None)[SPLIT], task=LOOP, state=TaskState.SKIPPED, reason=Reason.NO_VALUE)
    task = TaskSpec(name=TaskName("end"), kind=TaskKind.ETL, after=(LOOP,), join=join)
    assert judge(task, {LOOP: beyond}).state is expected


@pytest.mark.parametrize(
    ("parts", "ran", "run_state"),
    [
        ('["a", "b"]', ["a", "b"], RunState.SUCCEEDED),
        ("[]", [], RunState.SUCCEEDED),
        ("[1, 2, 3, 4]", [], RunState.FAILED),
    ],
)
def test_a_run_has_as_many_turns_as_values(parts: str, ran: list[str], run_state: RunState) -> None:
    orders: list[AttemptOrder] = []

    def behave(order: AttemptOrder) -> Outcome:
        orders.append(order)
        return Outcome(outputs={"parts": parts, "quality": 0.5})

    world = World(behave=behave)
    world.conditions = CelConditions()  # type: ignore[assignment]
    split = TaskSpec(name=SPLIT, kind=TaskKind.ETL)
    turns = [turn(number) for number in (1, 2, 3)]
    end = TaskSpec(
        name=TaskName("end"),
        kind=TaskKind.ETL,
        after=tuple(task.name for task in turns),
        when=f"size(train) == {len(ran)}",
    )
    world.submit(samples.pipeline(split, *turns, end))
    world.settle(world.engine())
    trained = [order for order in orders if order.task.startswith("train")]
    assert [order.command[1] for order in trained] == ran
    assert [order.parameters["task"]["parameters"]["part"] for order in trained] == ran  # type: ignore[index]
    assert world.run("r-1").state is run_state
    done = run_state is RunState.SUCCEEDED
    assert world.task("r-1", "end").state is (TaskState.SUCCEEDED if done else TaskState.SKIPPED)
    world.close()
