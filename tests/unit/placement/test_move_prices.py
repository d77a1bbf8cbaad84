"""Re-plans: a task moves when that saves more than a move is said to cost."""

from __future__ import annotations

from dataclasses import replace

from engine import documents
from engine.model.identifiers import dollars
from engine.model.plans import Mode, Placement, PlacementProblem, Turning
from placement import CpSatPlacer
from tests.support import placement_problems as make

CHEAP = make.cluster("cheap", make.pool(price=1.0))
DEAR = make.cluster("dear", make.pool(price=2.0))


def replanned(move: float, *, moved_from: str = "dear/cpu") -> PlacementProblem:
    spec = make.pipeline(make.task("t"), move_micro_dollars=dollars(move))
    stood = {"p/t": moved_from} if moved_from else {}
    return make.problem(spec, make.fleet(CHEAP, DEAR), mode=Mode.LEAST_COST, moved_from=stood)


def place(problem: PlacementProblem) -> Placement:
    return CpSatPlacer().place(problem)


def stands(problem: PlacementProblem) -> str:
    return place(problem).assignments[0].cluster


def test_a_move_that_saves_more_than_it_costs_is_made() -> None:
    assert stands(replanned(0.2)) == "cheap"


def test_a_move_that_saves_less_is_not() -> None:
    assert stands(replanned(0.3)) == "dear"


def test_a_task_that_is_new_goes_where_it_is_cheapest() -> None:
    assert stands(replanned(0.3, moved_from="")) == "cheap"


def test_a_place_that_is_gone_keeps_nobody() -> None:
    gone = replanned(5.0)
    fleet = make.fleet(CHEAP, replace(DEAR, reachable=False))
    assert stands(replace(gone, request=replace(gone.request, fleet=fleet))) == "cheap"


def test_the_price_of_a_move_is_in_the_objective_and_in_no_cost() -> None:
    placement = place(replanned(0.2))
    assert placement.objective_micro_dollars == 450_000
    assert placement.assignments[0].cost_micro_dollars == 250_000


def test_the_price_at_which_it_would_move_pays_for_the_move() -> None:
    turnings = place(replanned(0.3)).explanations[0].break_evens
    (price,) = [b for b in turnings if b.turning is Turning.PRICE]
    # A quarter of a node for an hour saves 0.50 - 0.30 dollars at 0.80 dollars an hour.
    assert (price.cluster, abs(price.value - 800_000) <= 2) == ("cheap", True)


def test_no_price_brings_a_task_where_the_move_costs_more_than_the_run() -> None:
    turnings = place(replanned(0.6)).explanations[0].break_evens
    assert [b for b in turnings if b.turning is Turning.PRICE] == []


def test_a_price_of_moves_is_read_and_written() -> None:
    text = "pipeline: p\nlimits: {move: 0.1 USD per task}\ntasks: {t: {kind: etl}}\n"
    spec = documents.read_pipeline(text, name="p", as_of=0.0)
    assert spec.limits.move_micro_dollars == dollars(0.1)
    assert documents.pipeline_from(documents.pipeline_mapping(spec), name="p") == spec
