"""Large problems by classes: what they bound, what they plan, and what happens without the engine.

Problems here are small, and are made to go the way of large ones.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.placement.checking import explained, whole_plan
from engine.model.documents import encode
from engine.model.plans import Mode, PlacementProblem, Reservation
from engine.model.resources import Resources
from placement import CpSatPlacer
from placement.problem.building import Terms, build
from placement.search import classes, classing, solving
from placement.search.chains import Chains
from placement.search.draft import EMPTY
from placement.search.greedy import value
from placement.search.solving import Effort, search
from placement.settling import settled
from placement.watching import Lookout
from tests.support import placement_problems as make
from tests.support.placement_watch import Notes


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes every problem a large one."""
    monkeypatch.setattr(classing, "LEAST_JOBS", 0)
    monkeypatch.setattr(solving, "WHOLE_OPTIONS", 0)


def crowded(**fields: object) -> PlacementProblem:
    problem = make.random_problem(2, tasks=60, clusters=1, tight=0.1)
    request = replace(problem.request, work_limit=0.2, **fields)
    return replace(problem, request=request)


def test_jobs_alike_form_a_class_and_others_do_not() -> None:
    tasks = [make.task("a"), make.task("b"), make.task("c")]
    profiles = {"c": make.profile(tasks[2], cores=2.0)}
    problem = make.problem(make.pipeline(*tasks), make.fleet(make.cluster("c")), profiles)
    assert classes.classes_of(build(problem, Terms())).members == ((0, 1), (2,))


def test_many_kinds_are_put_together_more_roughly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classes, "MOST_CLASSES", 2)
    tasks = [make.task(f"t{i}") for i in range(5)]
    profiles = {
        task.name: make.profile(task, seconds=10.0 ** (i + 1), cores=1.0 + i / 10)
        for i, task in enumerate(tasks)
    }
    problem = make.problem(make.pipeline(*tasks), make.fleet(make.cluster("c")), profiles)
    assert classes.classes_of(build(problem, Terms())).members == ((0, 1, 2, 3, 4),)


def test_what_others_hold_is_not_there_for_classes() -> None:
    task = make.task("t")
    other = Reservation(
        cluster="c", pool="cpu", holder="others", held=Resources(cpu_cores=1.0), from_seconds=0.0
    )
    spec, fleet = make.pipeline(task, deadline=7200.0), make.fleet(make.cluster("c"))
    free = classes.classes_of(build(make.problem(spec, fleet), Terms()))
    held = make.problem(spec, fleet, reservations=(other,))
    less = free.capacity - classes.classes_of(build(held, Terms())).capacity
    # A thousand thousandths of a core for 7,200,000 ms, in the window up to the deadline.
    assert less[0, 0] == 1_000 * 7_200_000


@pytest.mark.parametrize("fields", [{}, {"whole": True}])
def test_classes_bound_the_money_of_every_plan(fields: dict[str, object]) -> None:
    for seed in range(4):
        problem = make.random_problem(seed, tasks=8, clusters=2, tight=0.2)
        instance = build(replace(problem, request=replace(problem.request, **fields)), Terms())
        found = search(instance, Effort(all_placed=False, seed=0, work_limit=4.0))
        classed = classing.classed(instance, 0, Chains(instance))
        weight, money = value(instance, found.plan)
        assert 0 <= classed.bound(weight, 0) <= money


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("fields", [{}, {"whole": True}])
def test_a_plan_by_classes_breaks_no_limit(fields: dict[str, object]) -> None:
    problem = crowded(**fields)
    found = settled(problem)
    assert found.plan is not None
    nodes = {found.instance.jobs[i].key: taken for i, taken in found.plan.nodes.items()}
    assert whole_plan.faults(explained.world_of(problem, found), nodes) == []
    assert 0 < len(found.plan.options) < 60
    assert 0 < found.bound <= value(found.instance, found.plan)[1]


@pytest.mark.usefixtures("large")
def test_a_large_plan_is_the_same_each_time() -> None:
    assert encode(CpSatPlacer().place(crowded())) == encode(CpSatPlacer().place(crowded()))


@pytest.mark.usefixtures("large")
def test_all_tasks_get_a_place_where_there_is_room_for_all() -> None:
    problem = make.random_problem(5, tasks=30, clusters=6, mode=Mode.LEAST_COST, tight=3.0)
    relaxed = [make.pipeline(*p.tasks, name=p.name) for p in problem.request.pipelines]
    fleet, profiles = problem.request.fleet, problem.profiles
    again = make.problem(relaxed, fleet, profiles, mode=Mode.LEAST_COST, work_limit=1.0)
    placement = CpSatPlacer().place(again)
    assert not placement.unplaced
    assert placement.gap <= 0.03


@pytest.mark.usefixtures("large")
def test_a_plan_is_told_of_before_anything_is_known_of_what_is_best() -> None:
    notes = Notes()
    settled(crowded(), Lookout(notes))
    assert notes.incumbents[0].bound_micro_dollars == 0
    assert notes.incumbents[-1].unplaced_weight <= notes.incumbents[0].unplaced_weight


@pytest.mark.usefixtures("large")
def test_a_large_search_that_is_ended_at_once_has_its_first_plan() -> None:
    placement = CpSatPlacer(watch=Notes(hurried=True)).place(crowded())
    assert placement.assignments


@pytest.mark.usefixtures("large")
def test_without_the_engine_there_is_a_plan_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(f"no {name}")

    monkeypatch.setattr(classing, "engine_of", missing)
    placement = CpSatPlacer().place(crowded())
    assert placement.assignments
    assert any("classes of tasks could not be planned" in note for note in placement.notes)


def test_a_bound_that_breaks_leaves_the_one_that_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    instance = build(crowded(), Terms())
    classed = classing.classed(instance, 0, Chains(instance))
    (rate, money) = classed.bounds[0]

    def broken(name: str) -> None:
        raise MemoryError(f"no room for {name}")

    monkeypatch.setattr(classing, "engine_of", broken)
    assert classed.bound(1, 0) == max(int(money - rate), 0)


def test_nothing_is_planned_by_classes_when_no_task_may_stand_anywhere() -> None:
    task = make.task("t")
    profiles = {"t": make.profile(task, cores=64.0)}
    problem = make.problem(make.pipeline(task), make.fleet(make.cluster("c")), profiles)
    instance = build(problem, Terms())
    assert classing.classed(instance, 0, Chains(instance)).plan == EMPTY
