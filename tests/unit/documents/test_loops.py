"""Loops written out, joins on any end, and what conditions may read of both."""

from __future__ import annotations

import pytest

from engine.documents import pipeline_from, pipeline_mapping, read_pipeline
from engine.model.errors import InvalidInputError
from engine.model.identifiers import TaskName
from engine.model.specs import Join, PipelineSpec, Turn


def spec(tasks: str) -> PipelineSpec:
    return read_pipeline(f"pipeline: p\ntasks:\n{tasks}", name="p.yaml", as_of=0.0)


def codes(tasks: str) -> list[tuple[str, str]]:
    with pytest.raises(InvalidInputError) as caught:
        spec(tasks)
    return [(fault.code, fault.message) for fault in caught.value.faults]


LOOP = """
  etl: {kind: etl}
  train: {kind: train, after: etl, at once: 2, model: "{{family}}",
          each: {family: [knn, tree], depth: [3, 5]}, parameters: {seed: 1}}
  pick: {kind: evaluate, after: train, join: any}
"""


def test_lists_are_combined_and_put_into_the_task() -> None:
    found = spec(LOOP)
    train = [task for task in found.tasks if task.loop == "train"]
    assert [task.name for task in train] == [f"train-{n}" for n in range(1, 5)]
    assert train[1].model == ("knn",)
    assert train[1].parameters == {"seed": 1, "family": "knn", "depth": 5}
    assert {task.at_once for task in train} == {2}


def test_what_comes_after_a_loop_comes_after_all_of_it() -> None:
    assert spec(LOOP).task("pick").after == ("train-1", "train-2", "train-3", "train-4")


def test_a_loop_written_out_is_read_back_as_the_same() -> None:
    found = spec(LOOP)
    assert pipeline_from(pipeline_mapping(found), name="again") == found


def test_a_list_of_mappings_names_each_combination() -> None:
    found = spec("  t: {kind: etl, each: [{os: a, version: 1}, {os: b, version: 2}]}")
    assert [dict(task.parameters) for task in found.tasks] == [
        {"os": "a", "version": 1},
        {"os": "b", "version": 2},
    ]


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ("{kind: etl, each: 3}", "lists by parameter were expected"),
        ("{kind: etl, each: {}}", "the loop has 0 values"),
        ("{kind: etl, each: {a: 3}}", "needs a list of values"),
        ("{kind: etl, each: {1: [3]}}", "a name of letters"),
        ("{kind: etl, each: [3]}", "a mapping of parameters was expected"),
        (f"{{kind: etl, each: {{a: {list(range(101))}}}}}", "the loop has 101 values"),
        (f"{{kind: etl, each: {{a: {[*range(99)]}, b: {[*range(99)]}}}}}", "at most 100"),
        ("{kind: etl, at once: 2}", "there is none"),
    ],
)
def test_a_loop_that_cannot_be_is_refused(task: str, said: str) -> None:
    [(code, message)] = codes(f"  t: {task}")
    assert code == "S023"
    assert said in message


def test_a_loop_does_not_take_the_name_of_another_task() -> None:
    assert ("S023", "the loop `t` becomes `t-1`, which stands here too") in codes(
        "  t: {kind: etl, each: {a: [1]}}\n  t-1: {kind: etl}"
    )


def test_a_fault_of_a_loop_is_told_once() -> None:
    assert len(codes("  t: {kind: etl, each: {a: [1, 2, 3]}, colour: red}")) == 1


def test_conditions_read_a_loop_as_a_list() -> None:
    when = "'train.exists(t, t.quality > 0.9)'"
    good = f"  ok: {{kind: package, after: pick, when: {when}}}"
    assert spec(LOOP + good).task("ok").when == when.strip("'")
    [(code, message)] = codes(LOOP + "  ok: {kind: etl, after: pick, when: train.quality > 1}")
    assert code == "S014"
    assert message == "`train` is a loop, so it is a list of outputs"


def test_conditions_may_read_how_a_task_ended_without_a_guard() -> None:
    found = spec("""
  a: {kind: etl, when: "a.parameters.on", parameters: {on: true}}
  b: {kind: etl, after: a, join: done, when: 'a.state == "skipped"'}
""")
    assert found.task("b").join is Join.DONE


def test_what_a_task_before_may_not_have_written_needs_a_guard_after_any_end() -> None:
    [(code, message)] = codes(
        "  a: {kind: etl}\n  b: {kind: etl, after: a, join: done, when: a.rows > 1}"
    )
    assert code == "S015"
    assert "`join: done` goes on without it" in message


OVER = """
  split: {kind: etl, command: [split]}
  train: {kind: train, after: split, each: {part: split.parts}, most: 3, at once: 2,
          command: [fit, "{{part}}"]}
  pick: {kind: evaluate, after: train, command: [pick]}
  tell: {kind: etl, after: pick, when: "pick.quality > 0.5"}
"""


def test_a_loop_over_an_output_has_a_turn_for_each_value_it_may_have() -> None:
    found = spec(OVER)
    turns = [task for task in found.tasks if task.loop == "train"]
    assert [task.name for task in turns] == ["train-1", "train-2", "train-3"]
    assert turns[1].turn == Turn(
        task=TaskName("split"), output="parts", parameter="part", number=2, most=3
    )
    assert turns[1].command == ("fit", "{{part}}")
    assert (turns[1].at_once, turns[1].parameters) == (2, {})
    assert found.task("pick").after == ("train-1", "train-2", "train-3")
    assert pipeline_from(pipeline_mapping(found), name="again") == found


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ("{kind: etl, after: s, each: {a: s.b}}", "how many values `s.b` will have"),
        ("{kind: etl, after: s, each: {a: s.b}, most: 0}", "0"),
        ("{kind: etl, after: s, each: {a: [1]}, most: 3, at once: 1}", ""),
        ("{kind: etl, most: 3}", "`most` is for a loop over an output"),
        ("{kind: etl, each: {a: s.b}, most: 3}", "`s` is not before `t-1`"),
        ("{kind: etl, each: {a: z.b}, most: 3}", "`z` is no task of this pipeline"),
        ("{kind: etl, after: s, each: {a: sb}, most: 3}", "needs a list of values"),
        ("{kind: etl, after: s, each: {a: s.b, c: [1]}, most: 3}", "needs a list of values"),
    ],
)
def test_a_loop_over_an_output_that_cannot_be_is_refused(task: str, said: str) -> None:
    text = f"  s: {{kind: etl}}\n  t: {task}"
    if not said:
        assert len(spec(text).tasks) == 2
        return
    assert said in " ".join(message for _, message in codes(text))


def test_outputs_of_a_turn_may_not_exist() -> None:
    found = codes(OVER + '  last: {kind: etl, after: train, when: "train_1.quality > 0.5"}')
    assert [code for code, _ in found] == ["S015"]
