"""Conditions are checked against the tasks before anything runs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from engine.model.errors import Fault

Faults = Callable[[str], tuple[Fault, ...]]

BEFORE = """\
pipeline: p
tasks:
  etl: {kind: etl}
  own: {kind: etl, command: [python, own.py], after: etl}
  maybe: {kind: train, after: etl, when: etl.rows > 10}
  after-maybe: {kind: train, after: maybe}
  other: {kind: train, after: etl}
  either: {kind: evaluate, after: [maybe, other], join: any}
  aside: {kind: train, parameters: {mode: full, unit.chol: mmol/L}}
"""


@pytest.fixture
def check(faults: Faults) -> Callable[..., tuple[Fault, ...]]:
    """Return the faults of a last task with a condition."""

    def of(when: str, after: str = "etl", keys: str = "") -> tuple[Fault, ...]:
        return faults(f"{BEFORE}  last: {{kind: train, after: [{after}], when: {when}{keys}}}\n")

    return of


Check = Callable[..., tuple[Fault, ...]]


@pytest.mark.parametrize(
    ("when", "after"),
    [
        ("etl.rows > 1000", "etl"),
        ("etl.rows > 1000", "own"),
        ("own.anything > 1", "own"),
        ("has(maybe.quality) && maybe.quality > 0.5", "maybe"),
        ("has(etl.surprise) && etl.surprise > 0.5", "etl"),
        ("either.best == 'other'", "either"),
        ("size(etl) > 1", "etl"),
        ("aside.parameters.mode == 'full'", "etl"),
        ("has(etl.parameters.mode) && etl.parameters.mode == 'full'", "etl"),
        ("size(last.parameters) > 1", "etl"),
    ],
)
def test_conditions_on_what_exists_are_fine(check: Check, when: str, after: str) -> None:
    assert check(when, after) == ()


@pytest.mark.parametrize(
    ("when", "after", "why"),
    [
        ("etl.row > 10", "etl", "etl tasks write columns, nulls, rows"),
        ("maybe.quality > 0.5", "maybe", "`maybe` may be skipped"),
        ("after_maybe.quality > 0.5", "after-maybe", "`after-maybe` may be skipped"),
        ("other.quality > 0.5", "either", "`other` may have failed"),
        ("maybe.quality > 0.5", "either", "`maybe` may be skipped"),
    ],
)
def test_outputs_that_may_not_exist_need_a_guard(
    check: Check, when: str, after: str, why: str
) -> None:
    (fault,) = check(when, after)
    assert fault.code == "S015"
    assert why in fault.message


def test_a_misspelt_output_comes_with_the_right_one(check: Check) -> None:
    (fault,) = check("etl.row > 10")
    assert (fault.candidates, fault.fix) == (("rows",), "write `etl.rows`")


def test_a_guard_is_proposed(check: Check) -> None:
    (fault,) = check("maybe.quality > 0.5", "maybe")
    assert fault.fix == "guard it: `has(maybe.quality) && ...`"


def test_serving_writes_nothing(faults: Faults) -> None:
    tasks = "a: {kind: serve}, b: {kind: etl, after: a, when: a.x > 1}"
    (fault,) = faults(f"pipeline: p\ntasks: {{{tasks}}}")
    assert "serve tasks write nothing" in fault.message


def test_an_unread_kind_hides_no_other_fault(faults: Faults) -> None:
    tasks = "a: {kind: etll}, b: {kind: etl, after: a, when: a.x > 1}"
    assert [fault.code for fault in faults(f"pipeline: p\ntasks: {{{tasks}}}")] == ["S005"]


def test_all_upstreams_of_a_join_any_may_be_skipped_together(faults: Faults) -> None:
    tasks = (
        "a: {kind: etl}, b: {kind: train, after: a, when: a.rows > 1}, "
        "c: {kind: evaluate, after: [b], join: any}, "
        "d: {kind: etl, after: c, when: c.best == 'b'}"
    )
    (fault,) = faults(f"pipeline: p\ntasks: {{{tasks}}}")
    assert "`c` may be skipped" in fault.message


def test_a_task_that_is_not_upstream_is_named(check: Check) -> None:
    (fault,) = check("aside.quality > 0.5")
    assert fault.code == "S014"
    assert fault.message == "the condition reads `aside`, which is not upstream of `last`"
    assert fault.fix == "add `aside` to `after`"


def test_a_task_that_does_not_exist_is_named(check: Check) -> None:
    (fault,) = check("elt.rows > 1")
    assert fault.message == "the condition reads `elt`, which is no task of this pipeline"
    assert (fault.candidates, fault.fix) == (("etl",), "write `etl`")


def test_a_task_like_no_other_comes_with_those_upstream(check: Check) -> None:
    (fault,) = check("zzzz.rows > 1")
    assert fault.fix == "upstream are: etl"


def test_a_condition_cannot_read_its_own_task(check: Check) -> None:
    (fault,) = check("last.quality > 1")
    assert fault.message == "the condition of `last` reads its own output"


def test_a_task_without_upstream_can_read_nothing(faults: Faults) -> None:
    (fault,) = faults("pipeline: p\ntasks: {a: {kind: etl, when: zzz.x > 1}}")
    assert fault.fix == "upstream are: none"


def test_the_caret_stands_under_the_output(check: Check) -> None:
    (fault,) = check("etl.rows > 1 && aside.quality > 0")
    marked = fault.source_line[fault.column - 1 :][: fault.length]
    assert marked == "aside.quality"


def test_in_a_quoted_condition_the_caret_takes_all_of_it(check: Check) -> None:
    (fault,) = check("'aside.quality > 0'")
    assert fault.source_line[fault.column - 1 :][: fault.length] == "'aside.quality > 0'"


def test_a_condition_that_does_not_parse_is_placed(check: Check) -> None:
    (fault,) = check("etl.rows > ")
    assert fault.code == "S013"
    assert fault.source_line[: fault.column].endswith("etl.rows >")


def test_a_reserved_word_is_explained(faults: Faults) -> None:
    tasks = "package: {kind: package}, b: {kind: etl, after: package, when: package.digest != ''}"
    (fault,) = faults(f"pipeline: p\ntasks: {{{tasks}}}")
    assert fault.fix == "give task `package` another name"


def test_in_a_cycle_only_the_cycle_is_named(faults: Faults) -> None:
    tasks = "a: {kind: etl, after: b}, b: {kind: etl, after: a, when: a.zzz > 1}"
    assert [fault.code for fault in faults(f"pipeline: p\ntasks: {{{tasks}}}")] == ["S011"]


def test_long_chains_are_checked_without_recursion(faults: Faults) -> None:
    chain = [f"  t{i}: {{kind: etl, after: t{i - 1}}}" for i in range(1, 1100)]
    last = "  z: {kind: etl, after: t1099, when: t3.rows > 1 && t4.zzz > 1}"
    text = "\n".join(["pipeline: p", "tasks:", "  t0: {kind: etl}", *chain, last])
    assert [fault.code for fault in faults(text)] == ["S015"]


@pytest.mark.parametrize(
    ("when", "why", "fix"),
    [
        ("aside.parameters.mod == 'x'", "are mode, unit.chol", "write `aside.parameters.mode`"),
        ("etl.parameters.mode == 'x'", "are none", "guard it: `has(etl.parameters.mode) && ...`"),
    ],
)
def test_a_parameter_that_only_a_run_might_set_is_guarded(
    check: Check, when: str, why: str, fix: str
) -> None:
    (found,) = check(when)
    assert found.code == "S015"
    assert why in found.message
    assert found.fix == fix


def test_parameters_of_no_task_are_named(check: Check) -> None:
    (found,) = check("nobody.parameters.mode == 'x'")
    assert found.code == "S014"
