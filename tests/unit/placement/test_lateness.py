"""Deadlines at a price: when it is worth being late, and what is said of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine import documents
from engine.model.errors import InvalidInputError
from engine.model.identifiers import dollars
from engine.model.plans import Mode, Placement, PlacementProblem, Turning
from engine.model.specs import PipelineSpec
from placement import CpSatPlacer
from tests.support import placement_problems as make

HOUR = 3600.0
SLOW = make.cluster("slow", make.pool(price=1.0, speed=0.5))
FAST = make.cluster("fast", make.pool(price=8.0, speed=1.0))


def pipeline(late: float, name: str = "p", deadline: float = HOUR) -> PipelineSpec:
    spec = make.pipeline(make.task("t"), name=name, deadline=deadline)
    sla = replace(spec.sla, late_micro_dollars_per_hour=dollars(late))
    return replace(spec, sla=sla)


def asked(*specs: PipelineSpec, mode: Mode = Mode.LEAST_COST) -> PlacementProblem:
    return make.problem(list(specs), make.fleet(SLOW, FAST), mode=mode)


def place(problem: PlacementProblem) -> Placement:
    return CpSatPlacer().place(problem)


def test_a_cheap_hour_is_worth_being_late() -> None:
    placement = place(asked(pipeline(0.1)))
    assert placement.assignments[0].cluster == "slow"
    assert placement.objective_micro_dollars == 500_000 + 100_000
    promise = placement.promises[0]
    assert (promise.late_seconds, promise.late_micro_dollars) == (HOUR, 100_000)


def test_a_dear_hour_is_not() -> None:
    placement = place(asked(pipeline(5.0)))
    assert placement.assignments[0].cluster == "fast"
    assert placement.promises[0].late_micro_dollars == 0


def test_a_deadline_that_nobody_can_keep_is_passed_by_least() -> None:
    placement = place(asked(pipeline(5.0, deadline=60.0)))
    assert placement.assignments[0].cluster == "fast"
    assert placement.promises[0].late_seconds == HOUR - 60.0


def test_who_is_hurt_most_by_waiting_goes_first() -> None:
    full = {name: make.profile(make.task("t"), cores=4.0) for name in ("dear/t", "cheap/t")}
    specs = [pipeline(0.01, "cheap", 2 * HOUR), pipeline(0.4, "dear", 2 * HOUR)]
    problem = make.problem(specs, make.fleet(SLOW), full, mode=Mode.LEAST_COST)
    placement = place(problem)
    starts = {a.pipeline: a.start_seconds - make.AS_OF for a in placement.assignments}
    assert starts == {"dear": 0.0, "cheap": 2 * HOUR}


def test_dear_lateness_of_long_runs_is_still_proven_least() -> None:
    # The price times the milliseconds of both runs is beyond 64 bits.
    seconds = 1e6
    names = ("dear", "cheap")
    full = {f"{n}/t": make.profile(make.task("t"), seconds=seconds, cores=4.0) for n in names}
    specs = [pipeline(3_000.0, "cheap", seconds * 2), pipeline(6_000.0, "dear", seconds * 2)]
    placement = place(make.problem(specs, make.fleet(SLOW), full, mode=Mode.LEAST_COST))
    starts = {a.pipeline: a.start_seconds - make.AS_OF for a in placement.assignments}
    assert starts == {"dear": 0.0, "cheap": seconds * 2}
    assert (placement.optimal, placement.notes) == (True, ())


def test_a_move_that_saves_money_and_ends_late_says_both() -> None:
    placement = place(asked(pipeline(5.0)))
    verdict = next(v for v in placement.explanations[0].verdicts if v.cluster == "slow")
    # The run costs 1.5 dollars less there, and the hour after the deadline 5 more.
    assert verdict.delta_micro_dollars == 500_000 - 2_000_000 + 5_000_000


def test_the_price_at_which_a_late_place_would_win_counts_lateness() -> None:
    placement = place(asked(pipeline(1.6)))
    turning = next(b for b in placement.explanations[0].break_evens if b.turning is Turning.PRICE)
    # At 4 x (2 - 1.6) dollars an hour for a quarter of a node over two hours both cost the same.
    assert turning.cluster == "slow"
    assert turning.value == pytest.approx(800_000.0, abs=1.0)


def test_lateness_is_no_part_of_a_budget() -> None:
    spec = pipeline(0.1, deadline=60.0)
    limits = replace(spec.limits, budget_micro_dollars=dollars(0.5))
    placement = place(asked(replace(spec, limits=limits)))
    assert placement.assignments[0].cluster == "slow"
    assert placement.promises[0].run_cost_micro_dollars == 500_000


HEAD = "pipeline: p\ntasks: {t: {kind: etl}}\n"


def test_a_price_of_lateness_is_read_and_written() -> None:
    text = HEAD + "sla: {deadline: in 1 h, late: 5 USD per hour}\n"
    spec = documents.read_pipeline(text, name="p", as_of=0.0)
    assert spec.sla.late_micro_dollars_per_hour == dollars(5)
    assert documents.pipeline_from(documents.pipeline_mapping(spec), name="p") == spec


def test_a_price_of_lateness_needs_a_deadline() -> None:
    with pytest.raises(InvalidInputError) as caught:
        documents.read_pipeline(HEAD + "sla: {late: 5 USD per hour}\n", name="p", as_of=0.0)
    assert [(f.code, f.fix) for f in caught.value.faults] == [("S003", "add `deadline: ...`")]
