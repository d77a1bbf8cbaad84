"""Loops that cannot be, and conditions that read tasks which may be skipped."""

from __future__ import annotations

import pytest

from engine.documents import read_pipeline
from engine.documents.loops import Each
from engine.documents.sources import from_plain
from engine.model.errors import InvalidInputError
from engine.model.specs import PipelineSpec


def spec(tasks: str) -> PipelineSpec:
    return read_pipeline(f"pipeline: p\ntasks:\n{tasks}", name="p.yaml", as_of=0.0)


def codes(tasks: str) -> list[tuple[str, str]]:
    with pytest.raises(InvalidInputError) as caught:
        spec(tasks)
    return [(fault.code, fault.message) for fault in caught.value.faults]


@pytest.mark.parametrize(
    ("each", "said"),
    [
        ("[]", "the loop has 0 values, 1 to 100 were expected"),
        (f"[{', '.join(['{a: 1}'] * 101)}]", "the loop has 101 values, 1 to 100 were expected"),
        ("{a: []}", "the loop has 0 values"),
    ],
)
def test_a_loop_has_values_and_not_too_many(each: str, said: str) -> None:
    [(code, message)] = codes(f"  t: {{kind: etl, each: {each}}}")
    assert code == "S023"
    assert said in message


def test_every_value_that_is_no_scalar_is_a_fault_of_the_loop() -> None:
    found = codes("  t: {kind: etl, each: {a: [[1], 2]}}\n  u: {kind: etl, each: [{a: {b: 1}}]}")
    assert len(found) == 2


def test_what_names_no_value_of_the_loop_stays_as_it_was() -> None:
    found = spec("  t: {kind: etl, each: {a: [1]}, command: [run, '{{a}}', '{{b}}']}")
    assert found.task("t-1").command == ("run", "1", "{{b}}")


def test_truths_are_put_in_as_yaml_writes_them() -> None:
    found = spec("  t: {kind: etl, each: {on: [true, false]}, command: [run, '{{on}}']}")
    assert [task.command[1] for task in found.tasks] == ["true", "false"]


def test_a_task_that_goes_on_after_any_end_is_not_skipped_with_what_it_waits_for() -> None:
    found = spec("""
  a: {kind: etl, when: "true"}
  b: {kind: etl, after: a, join: done}
  c: {kind: etl, after: b, when: b.rows > 1}
""")
    assert found.task("c").when == "b.rows > 1"


def test_values_of_a_loop_are_written_as_they_are_read() -> None:
    rows = ({"os": "a", "version": 1}, {"os": "b", "version": 2.5})
    assert Each().write(rows) == [dict(row) for row in rows]
    assert Each().read(from_plain(Each().write(rows), "p.yaml")) == rows
