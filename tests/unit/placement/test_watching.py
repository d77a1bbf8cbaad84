"""What a search tells whoever looks on, and how it is ended early."""

from __future__ import annotations

from engine.model.documents import encode
from engine.model.plans import Incumbent, Mode
from placement import CpSatPlacer
from placement.problem.building import Terms, build
from placement.search.draft import EMPTY
from placement.search.greedy import greedy, value
from placement.watching import NOBODY, Lookout
from tests.support import placement_problems as make

PROBLEM = make.random_problem(3, tasks=8, clusters=3, mode=Mode.MOST_SLA, tight=0.5)


class Notes:
    """Remembers incumbents; asks for an end at once when it is in a hurry."""

    def __init__(self, *, hurried: bool = False) -> None:
        self.incumbents: list[Incumbent] = []
        self.hurried = hurried

    def found(self, incumbent: Incumbent) -> None:
        self.incumbents.append(incumbent)

    def wants_end(self) -> bool:
        return self.hurried


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


def test_nobody_hears_nothing_and_never_ends_a_search() -> None:
    NOBODY.found(build(PROBLEM, Terms()), EMPTY, 0)
    assert not NOBODY.wants_end()
