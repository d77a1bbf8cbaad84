"""Running tasks stay, ended ones need no place, and what others hold is left alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.model.identifiers import MicroDollars, PipelineName, TaskName
from engine.model.plans import (
    Assignment,
    Limit,
    Mode,
    PlacementProblem,
    Reservation,
    Ruling,
)
from engine.model.resources import Resource, Resources
from engine.model.specs import BudgetPeriod, PipelineSpec
from placement import CpSatPlacer
from tests.support import placement_problems as make

CHEAP = make.cluster("cheap", make.pool(price=1.0))
FAST = make.cluster("fast", make.pool(price=4.0, speed=2.0))
SPEC = make.pipeline(
    make.task("a"), make.task("b", after=("a",)), make.serving("s", after=("b",)), deadline=9000.0
)


def problem(spec: PipelineSpec = SPEC, **fields: object) -> PlacementProblem:
    return make.problem(spec, make.fleet(CHEAP, FAST), mode=Mode.MOST_SLA, **fields)


def running(task: str = "a", *, since: float = 600.0, cores: float = 1.0) -> Assignment:
    """A task that has run on the dear cluster for a while."""
    start = make.AS_OF - since
    ends = task != "s"
    return Assignment(
        pipeline=PipelineName("p"),
        task=TaskName(task),
        cluster=FAST.name,
        pool=FAST.pools[0].name,
        machine="cpu-machine",
        node_count=1,
        held=Resources(cpu_cores=cores, memory_gib=1.0),
        start_seconds=start,
        end_seconds_p50=start + 1800 if ends else None,
        end_seconds_p95=start + 2000 if ends else None,
        slack_seconds=None,
        cost_micro_dollars=MicroDollars(400_000),
        cost_micro_dollars_p95=MicroDollars(500_000),
    )


def placed(fixed: Assignment, spec: PipelineSpec = SPEC, **fields: object) -> dict[str, Assignment]:
    placement = CpSatPlacer().place(problem(spec, fixed=(fixed,), **fields))
    return {a.task: a for a in placement.assignments}


def test_a_running_task_stays_as_it_is() -> None:
    assert placed(running())["a"] == running()


def test_those_that_wait_start_after_it_ends() -> None:
    start = placed(running())["b"].start_seconds
    assert make.AS_OF + 1200 <= start <= make.AS_OF + 1400


def test_a_task_past_its_p95_ends_soon() -> None:
    start = placed(running(since=5000.0))["b"].start_seconds
    assert make.AS_OF < start <= make.AS_OF + 180


def test_what_a_running_task_holds_is_taken() -> None:
    by_task = placed(running(cores=4.0), make.pipeline(make.task("a"), make.task("c")))
    assert by_task["c"].cluster == "cheap"


def test_a_running_service_stays_and_holds_for_good() -> None:
    fixed = running("s", cores=4.0)
    by_task = placed(fixed, replace(SPEC, sla=make.pipeline().sla))
    assert by_task["s"] == fixed
    assert {by_task[name].cluster for name in ("a", "b")} == {"cheap"}


def test_a_running_service_costs_by_the_hour() -> None:
    placement = CpSatPlacer().place(problem(fixed=(running("s"),)))
    assert placement.promises[0].serving_micro_dollars_per_hour == 400_000


def test_every_other_pool_is_refused_to_a_running_task() -> None:
    placement = CpSatPlacer().place(problem(fixed=(running(),)))
    first, second = placement.explanations[0].verdicts
    assert first.binding is not None
    assert (first.ruling, first.binding.limit) == (Ruling.REFUSED, Limit.AFFINITY)
    assert (second.ruling, second.delta_micro_dollars) == (Ruling.CHOSEN, 0)


def test_what_running_tasks_cost_counts_against_the_budget() -> None:
    limits = replace(SPEC.limits, budget_micro_dollars=MicroDollars(600_000))
    unplaced = CpSatPlacer().place(problem(replace(SPEC, limits=limits), fixed=(running(),)))
    assert [u.task for u in unplaced.unplaced] == ["b", "s"]


def test_a_running_service_counts_against_a_monthly_budget() -> None:
    spec = make.pipeline(
        make.serving("s"),
        make.serving("s2"),
        budget_micro_dollars=MicroDollars(400_000 * 720),
        budget_period=BudgetPeriod.MONTH,
    )
    placement = CpSatPlacer().place(problem(spec, fixed=(running("s"),)))
    assert [u.task for u in placement.unplaced] == ["s2"]


def test_ended_tasks_need_no_place() -> None:
    done = {PipelineName("p"): (TaskName("a"),)}
    placement = CpSatPlacer().place(problem(done=done))
    assert [a.task for a in placement.assignments] == ["b", "s"]
    assert [e.task for e in placement.explanations] == ["b", "s"]


@pytest.mark.parametrize(("until", "start"), [(1800.0, 1800.0), (None, 0.0)])
def test_reserved_capacity_is_free_again_at_its_end(until: float | None, start: float) -> None:
    held = Reservation(
        cluster=CHEAP.name,
        pool=CHEAP.pools[0].name,
        holder="others",
        held=Resources(cpu_cores=4.0, memory_gib=16.0),
        from_seconds=make.AS_OF,
        to_seconds=None if until is None else make.AS_OF + until,
    )
    placement = CpSatPlacer().place(problem(make.pipeline(make.task("a")), reservations=(held,)))
    assert placement.assignments[0].start_seconds == make.AS_OF + start


def test_a_reservation_that_has_ended_holds_nothing() -> None:
    held = Reservation(
        cluster=CHEAP.name,
        pool=CHEAP.pools[0].name,
        holder="others",
        held=Resources(cpu_cores=4.0),
        from_seconds=make.AS_OF - 100,
        to_seconds=make.AS_OF - 50,
    )
    placement = CpSatPlacer().place(problem(make.pipeline(make.task("a")), reservations=(held,)))
    assert placement.assignments[0].cluster == "cheap"


def test_running_tasks_use_their_owners_quota() -> None:
    limited = replace(FAST, quota={"us": {Resource.CPU: 1.5}})
    fleet = make.fleet(limited)
    spec = make.pipeline(make.task("a"), make.task("c"))
    made = CpSatPlacer().place(make.problem(spec, fleet, fixed=(running(),)))
    start = next(a.start_seconds for a in made.assignments if a.task == "c")
    assert start == make.AS_OF + 1400
