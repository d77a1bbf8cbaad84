"""The search on problems that are cut into neighbourhoods, and the model's rarer parts."""

from __future__ import annotations

import pytest

from engine.model.identifiers import MicroDollars
from engine.model.plans import Mode, Placement, PlacementProblem
from engine.model.specs import Join, TaskKind
from placement import CpSatPlacer
from placement.problem.building import Terms, build
from placement.problem.instance import Instance, Span
from placement.search import solving
from placement.search.draft import EMPTY, timed
from placement.search.greedy import greedy, value
from placement.search.model import solve
from placement.search.orders import Goal, Scope, Task, Verdict, everything
from placement.search.solving import Effort, search
from placement.search.timeline import Timeline
from tests.support import placement_problems as make

EFFORT = Effort(all_placed=False, seed=0, work_limit=0.5)


def crowded(seed: int = 2, tasks: int = 24) -> Instance:
    return build(make.random_problem(seed, tasks=tasks, clusters=2, tight=0.1), Terms())


@pytest.fixture
def cut_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(solving, "WHOLE_OPTIONS", 0)


@pytest.mark.usefixtures("cut_up")
@pytest.mark.parametrize("seed", [2, 4, 7])
def test_neighbourhoods_never_make_a_plan_worse(seed: int) -> None:
    instance = crowded(seed)
    found = search(instance, EFFORT)
    assert found.plan is not None
    assert value(instance, found.plan) <= value(instance, greedy(instance))


@pytest.mark.usefixtures("cut_up")
@pytest.mark.parametrize("seed", [2, 4, 7])
def test_neighbourhoods_keep_the_bound_of_the_whole(seed: int) -> None:
    found = search(crowded(seed), EFFORT)
    assert found.plan is not None
    assert found.bound <= value(crowded(seed), found.plan)[1]


@pytest.mark.usefixtures("cut_up")
def test_a_plan_that_greed_does_not_find_is_searched_whole() -> None:
    # Greed puts the first task on the cheap pool, where only the second could have run.
    tasks = [make.task("a"), make.task("b")]
    both = make.pool("both", cores=2.0, memory=8.0, price=1.0)
    one = make.pool("one", cores=2.0, memory=4.0, price=1.5)
    spec = make.pipeline(*tasks, deadline=3700.0)
    profiles = {
        "a": make.profile(tasks[0], cores=2.0, memory=2.0),
        "b": make.profile(tasks[1], cores=2.0, memory=6.0),
    }
    fleet = make.fleet(make.cluster("c", both, one))
    problem = make.problem(spec, fleet, profiles, mode=Mode.LEAST_COST)
    by_task = {str(a.task): a.pool for a in CpSatPlacer().place(problem).assignments}
    assert by_task == {"a": "one", "b": "both"}


@pytest.mark.usefixtures("cut_up")
def test_no_plan_for_a_problem_cut_up_is_proven_too() -> None:
    tasks = [make.task("a"), make.task("b")]
    profiles = {t.name: make.profile(t, cores=4.0) for t in tasks}
    fleet = make.fleet(make.cluster("c"))
    spec = make.pipeline(*tasks, name="p", deadline=3700.0)
    problem = make.problem(spec, fleet, profiles, mode=Mode.LEAST_COST)
    effort = Effort(all_placed=True, seed=0, work_limit=1.0)
    found = search(build(problem, Terms()), effort)
    assert (found.plan, found.proven) == (None, True)


@pytest.mark.usefixtures("cut_up")
def test_when_not_all_fits_the_bound_counts_only_what_is_placed() -> None:
    tasks = [make.task("a"), make.task("b")]
    profiles = {"a": make.profile(tasks[0], cores=4.0), "b": make.profile(tasks[1], cores=3.0)}
    spec = make.pipeline(*tasks, deadline=3700.0)
    problem = make.problem(
        [spec, make.pipeline(name="empty")],
        make.fleet(make.cluster("c")),
        profiles,
        mode=Mode.MOST_SLA,
    )
    instance = build(problem, Terms())
    found = search(instance, EFFORT)
    cheaper = instance.jobs[1].options[0].objective
    assert found.plan is not None
    assert value(instance, found.plan)[0] == instance.jobs[0].weight
    assert (found.bound, found.proven) == (cheaper, False)


def rush(join: Join = Join.ALL) -> PlacementProblem:
    """Exclusive branches, a service and moving data, on pools that are easily full."""
    when = ['a.best == "x"', 'a.best == "y"']
    branches = [make.task(f"b{i}", after=("a",), when=w) for i, w in enumerate(when)]
    spec = make.pipeline(
        make.task("a", TaskKind.ETL, volume_gib=5.0),
        *branches,
        make.task("end", TaskKind.ETL, after=("b0", "b1", "a"), join=join),
        make.serving(after=("end",)),
        deadline=4.5 * 3600,
    )
    prices = {"eu-1": MicroDollars(10_000), "us-1": MicroDollars(10_000)}
    fleet = make.fleet(
        make.cluster("c", make.pool(cores=2.0), transfer_micro_dollars_per_gib=prices),
        make.cluster(
            "d",
            make.pool(cores=2.0, price=1.2),
            region="us-1",
            transfer_micro_dollars_per_gib=prices,
        ),
    )
    profiles = {task.name: make.profile(task, cores=2.0) for task in spec.tasks}
    return make.problem(spec, fleet, profiles, mode=Mode.MOST_SLA)


def placed(problem: PlacementProblem) -> Placement:
    return CpSatPlacer().place(problem)


def test_branches_of_a_seat_share_a_full_pool() -> None:
    placement = placed(rush(Join.ANY))
    assert not placement.unplaced
    by_task = {str(a.task): a for a in placement.assignments}
    assert by_task["b0"].start_seconds == by_task["b1"].start_seconds


def test_the_model_agrees_with_the_clock_about_seats_and_services() -> None:
    instance = build(rush(Join.ANY), Terms())
    task = Task(goal=Goal.BEST, all_placed=True, seed=0, work_limit=2.0, hint=greedy(instance))
    outcome = solve(instance, task, everything(instance))
    assert outcome.verdict is Verdict.OPTIMAL
    assert outcome.draft is not None
    assert timed(instance, outcome.draft.options, outcome.draft.starts) is not None


@pytest.mark.parametrize("seed", range(6))
def test_the_model_finds_no_plan_that_the_clock_refuses(seed: int) -> None:
    instance = crowded(seed, tasks=10)
    task = Task(goal=Goal.BEST, all_placed=False, seed=seed, work_limit=0.5)
    outcome = solve(instance, task, everything(instance))
    assert outcome.draft is not None
    assert timed(instance, outcome.draft.options, outcome.draft.starts) is not None


def test_least_time_and_least_cost_of_one_pipeline() -> None:
    instance = build(rush(Join.ANY), Terms())
    order = {"all_placed": True, "seed": 0, "work_limit": 2.0}
    end = solve(instance, Task(goal=Goal.END, **order), everything(instance))
    assert end.bound == 3 * 3_600_000


def test_without_work_there_still_is_a_plan() -> None:
    problem = make.random_problem(2, tasks=12, clusters=2, tight=0.2)
    instance = build(problem, Terms())
    found = search(instance, Effort(all_placed=False, seed=0, work_limit=0.0))
    assert found.plan is not None
    assert value(instance, found.plan) <= value(instance, greedy(instance))


def test_an_order_in_which_a_task_is_late_is_no_plan() -> None:
    spec = make.pipeline(make.task("a"), make.task("b"), deadline=3700.0)
    profiles = {name: make.profile(spec.tasks[0], cores=4.0) for name in ("a", "b")}
    instance = build(make.problem(spec, make.fleet(make.cluster("c")), profiles), Terms())
    options = {job.index: job.options[0] for job in instance.jobs}
    assert timed(instance, options, {0: 0, 1: 1}) is None


def test_nothing_to_place_is_a_plan() -> None:
    instance = crowded(tasks=2)
    outcome = solve(
        instance,
        Task(goal=Goal.BEST, all_placed=True, seed=0, work_limit=1.0),
        Scope(jobs=(), taken=None),
    )
    assert (outcome.verdict, outcome.draft) == (Verdict.OPTIMAL, EMPTY)


def test_a_timeline_gives_back_what_was_taken() -> None:
    line = Timeline((10,), [Span(start_ms=0, end_ms=100, amounts=(4,))])
    more = Span(start_ms=50, end_ms=150, amounts=(7,))
    assert line.conflict(more) == (0, 100)
    line.add(more)
    line.add(more, sign=-1)
    assert {used for _, used in line.steps()} == {(4,), (0,)}


def test_what_needs_nothing_fits_on_a_pool_held_beyond_its_size() -> None:
    line = Timeline((10, 10), [Span(start_ms=0, end_ms=100, amounts=(99, 0))])
    assert line.conflict(Span(start_ms=0, end_ms=50, amounts=(0, 5))) is None
