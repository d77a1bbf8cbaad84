"""Which tasks may run together, how likely each is, and what that saves."""

from __future__ import annotations

import pytest

from engine.model.plans import Mode, Placement
from engine.model.specs import Join, PipelineSpec, TaskSpec
from placement import CpSatPlacer
from placement.problem.branches import branches_of, in_order
from tests.support import placement_problems as make


def fork(*whens: str, after: str = "a") -> PipelineSpec:
    branches = [make.task(f"b{i}", after=(after,), when=when) for i, when in enumerate(whens)]
    names = tuple(task.name for task in branches)
    return make.pipeline(make.task("a"), *branches, make.task("end", after=names, join=Join.ANY))


def placed(spec: PipelineSpec, *, nodes: int = 1, cores: float = 1.0) -> Placement:
    profiles = {task.name: make.profile(task, cores=cores) for task in spec.tasks}
    fleet = make.fleet(make.cluster("c", make.pool(cores=2.0, nodes=nodes)))
    return CpSatPlacer().place(make.problem(spec, fleet, profiles, mode=Mode.MOST_SLA))


@pytest.mark.parametrize(
    ("whens", "expected"),
    [
        (('a.best == "x"', "a.best == 'y'"), [0.5, 0.5]),
        (('a.best == "x"', '"y" == a.best', "a.best == 3"), [1 / 3] * 3),
        (('a.best == "x"',), [0.5]),
        (("a.rows > 10",), [0.5]),
        (("a.ok == true", "a.ok == false"), [0.5, 0.5]),
    ],
)
def test_values_of_one_output_are_equally_likely(
    whens: tuple[str, ...], expected: list[float]
) -> None:
    branches = branches_of(fork(*whens))
    found = [branches.probability(f"b{i}") for i in range(len(whens))]
    assert found == pytest.approx(expected)


def test_equal_comparisons_of_one_output_exclude_each_other() -> None:
    branches = branches_of(fork('a.best == "x"', 'a.best == "y"', "a.rows > 1"))
    assert branches.exclusive("b0", "b1")
    assert not branches.exclusive("b0", "b2")


def test_any_of_all_branches_is_certain() -> None:
    branches = branches_of(fork('a.best == "x"', 'a.best == "y"'))
    assert branches.probability("end") == 1.0


def test_what_follows_a_branch_is_as_likely_as_it() -> None:
    spec = make.pipeline(
        make.task("a"),
        make.task("b", after=("a",), when='a.x == "1"'),
        make.task("c", after=("b",)),
    )
    assert branches_of(spec).probability("c") == 0.5


def test_many_conditions_are_sampled() -> None:
    tasks = [make.task(f"t{i}", when=f"a.v{i} > 0") for i in range(12)]
    found = branches_of(make.pipeline(make.task("a"), *tasks)).probability("t3")
    assert found == pytest.approx(0.5, abs=0.1)


def test_tasks_that_wait_for_each_other_are_no_pipeline() -> None:
    first = make.task("a", after=("b",))
    with pytest.raises(ValueError, match="wait for each other"):
        in_order([first, make.task("b", after=("a",))])


def test_order_is_that_of_the_file_where_it_may_be() -> None:
    tasks: list[TaskSpec] = [make.task("b", after=("c",)), make.task("a"), make.task("c")]
    assert [task.name for task in in_order(tasks)] == ["a", "c", "b"]


def test_exclusive_branches_reserve_for_one_of_them() -> None:
    spec = fork('a.best == "x"', 'a.best == "y"')
    by_task = {str(a.task): a for a in placed(spec, cores=2.0).assignments}
    assert by_task["b0"].start_seconds == by_task["b1"].start_seconds


def test_branches_that_may_meet_reserve_for_both() -> None:
    by_task = {str(a.task): a for a in placed(fork("a.x > 1", "a.y > 1"), cores=2.0).assignments}
    starts = sorted(by_task[name].start_seconds - make.AS_OF for name in ("b0", "b1"))
    assert starts == [3600.0, 7200.0]


def test_expected_cost_counts_probabilities() -> None:
    by_task = {str(a.task): a for a in placed(fork('a.x == "1"', 'a.x == "2"')).assignments}
    assert by_task["b0"].probability == 0.5
    assert by_task["b0"].cost_micro_dollars == by_task["a"].cost_micro_dollars / 2
    assert by_task["b0"].cost_micro_dollars_p95 == by_task["a"].cost_micro_dollars_p95


def test_a_run_costs_what_its_likely_tasks_cost() -> None:
    placement = placed(fork('a.x == "1"', 'a.x == "2"'))
    certain = next(a for a in placement.assignments if a.task == "a").cost_micro_dollars
    assert placement.promises[0].run_cost_micro_dollars == 3 * certain
