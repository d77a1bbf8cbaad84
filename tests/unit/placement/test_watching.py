"""What a search tells whoever looks on, and how it is ended early."""

from __future__ import annotations

import pytest

from engine.model.documents import encode
from engine.model.plans import Mode
from placement import CpSatPlacer
from placement.problem.building import Terms, build
from placement.search import solving
from placement.search.draft import EMPTY, Draft
from placement.search.greedy import greedy, value
from placement.search.model import solve
from placement.search.orders import Goal, Task, everything
from placement.watching import NOBODY, Lookout
from tests.support import placement_problems as make
from tests.support.placement_watch import Notes

PROBLEM = make.random_problem(3, tasks=8, clusters=3, mode=Mode.MOST_SLA, tight=0.5)


def test_a_watched_plan_has_the_same_bytes() -> None:
    notes = Notes()
    watched = CpSatPlacer().watched(notes).place(PROBLEM)
    assert encode(watched) == encode(CpSatPlacer().place(PROBLEM))
    assert notes.incumbents


def test_a_search_that_is_ended_at_once_still_has_a_plan() -> None:
    placement = CpSatPlacer().watched(Notes(hurried=True)).place(PROBLEM)
    assert placement.assignments
    assert placement.bound_micro_dollars <= placement.objective_micro_dollars


def test_only_better_plans_and_bounds_are_told() -> None:
    instance = build(PROBLEM, Terms())
    plan, notes = greedy(instance), Notes()
    lookout = Lookout(notes)
    lookout.found(instance, None, 0)
    for draft, bound in ((EMPTY, 0), (EMPTY, 0), (plan, 0), (EMPTY, 0), (plan, 7)):
        lookout.found(instance, draft, bound)
    weights = [round(i.unplaced_weight * 1000) for i in notes.incumbents]
    assert weights == [value(instance, EMPTY)[0], *[value(instance, plan)[0]] * 2]
    assert [i.bound_micro_dollars for i in notes.incumbents] == [0, 0, 7]


LARGER = make.random_problem(4, tasks=24, clusters=3, mode=Mode.MOST_SLA, tight=0.3)


def told_by_the_solver(*, wanted: int) -> list[tuple[tuple[int, int], int, int]]:
    """Value, bound and weight of a unit as the solver tells them until so many are enough."""
    instance = build(LARGER, Terms())
    told: list[tuple[tuple[int, int], int, int]] = []

    def hears(draft: Draft, bound: int, dear: int) -> bool:
        told.append((value(instance, draft), bound, dear))
        return len(told) < wanted

    task = Task(goal=Goal.BEST, all_placed=False, seed=0, work_limit=1.0, told=hears)
    solve(instance, task, everything(instance))
    return told


@pytest.mark.slow
def test_the_solver_tells_of_each_better_plan_while_it_searches() -> None:
    told = told_by_the_solver(wanted=1_000)
    values = [found for found, _, _ in told]
    assert len(values) > 1
    assert values == sorted(values, reverse=True)
    assert all(bound <= weight * dear + money for (weight, money), bound, dear in told)


def test_a_solve_ends_with_the_plan_of_which_no_better_one_is_wanted() -> None:
    assert len(told_by_the_solver(wanted=1)) == 1


def test_what_the_solver_finds_reaches_whoever_looks_on(monkeypatch: pytest.MonkeyPatch) -> None:
    # Without good plans at the start, all that is better comes from the solver.
    monkeypatch.setattr(solving, "_start", lambda *_: EMPTY)
    notes = Notes()
    CpSatPlacer().watched(notes).place(LARGER)
    costs = [(i.unplaced_weight, i.objective_micro_dollars) for i in notes.incumbents]
    assert len(costs) > 2
    assert costs[:2] == sorted(costs[:2], reverse=True)


def test_nobody_hears_nothing_and_never_ends_a_search() -> None:
    NOBODY.found(build(PROBLEM, Terms()), EMPTY, 0)
    assert not NOBODY.wants_end()
