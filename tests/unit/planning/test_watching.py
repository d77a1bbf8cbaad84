"""Somebody may look on while a plan is searched for, where the placer can tell."""

from __future__ import annotations

from engine.model.plans import Incumbent, Placement, PlacementProblem, PlanRequest
from engine.planning import Planner
from engine.ports import Placer, Watch
from tests.support.planning import FirstPlacer, SampleForecaster


class Notes:
    """Remembers what was found."""

    def __init__(self) -> None:
        self.incumbents: list[Incumbent] = []

    def found(self, incumbent: Incumbent) -> None:
        self.incumbents.append(incumbent)

    def wants_end(self) -> bool:
        return False


class Talkative(FirstPlacer):
    """Tells of one plan on the way."""

    watch: Watch | None = None

    def watched(self, watch: Watch) -> Placer:
        other = Talkative()
        other.watch = watch
        return other

    def place(self, problem: PlacementProblem) -> Placement:
        if self.watch is not None:
            found = Incumbent(unplaced_weight=0.0, objective_micro_dollars=4, bound_micro_dollars=3)
            self.watch.found(found)
        return super().place(problem)


def test_better_plans_are_told_and_change_nothing(
    forecaster: SampleForecaster, request_for: PlanRequest
) -> None:
    planner = Planner(forecaster, Talkative(), "test")
    notes = Notes()
    assert planner.plan(request_for, [], watch=notes) == planner.plan(request_for, [])
    assert [incumbent.gap for incumbent in notes.incumbents] == [0.25]


def test_a_placer_that_cannot_tell_is_asked_as_ever(
    planner: Planner, request_for: PlanRequest
) -> None:
    notes = Notes()
    assert planner.plan(request_for, [], watch=notes) == planner.plan(request_for, [])
    assert notes.incumbents == []


def test_a_plan_for_nothing_has_no_gap() -> None:
    free = Incumbent(unplaced_weight=1.0, objective_micro_dollars=0, bound_micro_dollars=0)
    assert free.gap == 0.0
