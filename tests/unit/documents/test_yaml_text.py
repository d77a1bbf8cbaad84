"""Texts that are not the YAML we read are refused where they stop making sense."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from engine import documents
from engine.model.errors import Fault, InvalidInputError

Faults = Callable[[str], tuple[Fault, ...]]


@pytest.mark.parametrize(
    ("text", "line", "part"),
    [
        ("a: [1, 2", 1, "expected ',' or ']'"),
        ("a: b: c", 1, "mapping values are not allowed here"),
        ("a: 1\n\t b: 2", 2, "cannot start any token"),
        ("a: *nobody", 1, "undefined alias"),
        ("a: 1\n---\nb: 2", 2, "another document"),
        ("a: \x00", 0, "unacceptable character"),
        ("", 0, "is empty"),
        ("# only a comment", 0, "is empty"),
        ("[" * 1500, 1, "nested deeper"),
        ("a: " + "[" * 13 + "]" * 13, 1, "nested deeper"),
        ("a: &a [*a]", 1, "nested deeper"),
        ("x" * 500_001, 0, "more than 500,000"),
        ("a: !!python/object:os.system x", 1, "is not understood here"),
        ("? [a, b]\n: c", 1, "a key must be a word"),
    ],
)
def test_a_text_that_is_no_document_is_refused(
    faults: Faults, text: str, line: int, part: str
) -> None:
    assert any(each.line == line and part in each.message for each in faults(text))


def test_a_text_cut_off_in_a_line_is_shown_with_that_line(faults: Faults) -> None:
    (fault,) = faults("pipeline: p\ntasks: {t: {kind: etl")
    assert fault.source_line == "tasks: {t: {kind: etl"


def test_a_text_that_ends_too_early_has_no_line_to_show(faults: Faults) -> None:
    (fault,) = faults("a: [\n")
    assert fault.source_line == ""


def test_a_few_lines_of_aliases_cannot_fill_the_memory(faults: Faults) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    (fault,) = faults("\n".join(lines))
    assert "more than 50,000 values" in fault.message


def test_aliases_within_reason_are_fine() -> None:
    text = "pipeline: p\ntasks: {a: &t {kind: etl, rows: 5}, b: *t}"
    spec = documents.read_pipeline(text, name="x", as_of=0.0)
    assert spec.task("b").rows == 5


def test_a_key_written_twice_is_placed_at_the_second(faults: Faults) -> None:
    (fault,) = faults("pipeline: p\npipeline: q\ntasks: {t: {kind: etl}}")
    assert (fault.code, fault.line) == ("S008", 2)
    assert fault.message == "key `pipeline` was written before, on line 1"


def test_a_block_of_text_is_marked_on_its_first_line(faults: Faults) -> None:
    text = "pipeline: p\ntasks:\n  t:\n    kind: etl\n    memory: |\n      a\n      b\n"
    (fault,) = faults(text)
    assert (fault.line, fault.column, fault.length) == (5, 13, 1)


def test_a_plain_value_is_what_yaml_says() -> None:
    assert documents.plain_value("[eu, {a: 1}]", name="x") == ["eu", {"a": 1}]


def test_a_plain_value_has_no_key_twice() -> None:
    with pytest.raises(InvalidInputError, match="was written before"):
        documents.plain_value("{a: 1, a: 2}", name="x")


def test_faults_without_a_line_can_be_placed_in_the_text() -> None:
    text = "pipeline: p\nlimits:\n  regions: [eu, mars]\ntasks: {t: {kind: etl}}"
    fault = Fault(code="S016", message="m", path="limits.regions[1]")
    (placed,) = documents.place_faults(text, [fault], name="x")
    assert (placed.line, placed.column, placed.length) == (3, 17, 4)


def test_a_fault_below_the_text_is_placed_at_what_is_above_it() -> None:
    fault = Fault(code="S016", message="m", path="tasks.t.gpu.kind")
    (placed,) = documents.place_faults("tasks:\n  t: {kind: etl}", [fault], name="x")
    assert (placed.line, placed.column) == (2, 6)


def test_a_fault_that_has_its_place_or_none_keeps_it() -> None:
    known = Fault(code="S016", message="m", path="a", line=7)
    lost = Fault(code="S016", message="m", path="zzz")
    assert documents.place_faults("a: 1", [known, lost], name="x") == (known, lost)
