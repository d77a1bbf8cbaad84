"""Whole pipelines within the budget of a plan, earliest starts, and data that lie somewhere."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.model.identifiers import MicroDollars, dollars
from engine.model.plans import Limit, Mode, Placement, PlacementProblem
from engine.model.specs import Deadline, PipelineSpec, TaskKind
from placement import CpSatPlacer
from placement.search import solving
from tests.support import placement_problems as make


def planned(problem: PlacementProblem) -> Placement:
    return CpSatPlacer().place(problem)


def pair(name: str, weight: float = 1.0) -> PipelineSpec:
    """A task for a small node and one for a large node after it."""
    first, then = make.task("small"), make.task("large", after=("small",))
    return make.pipeline(first, then, name=name, deadline=7300.0, weight=weight)


def crowded(**fields: object) -> PlacementProblem:
    """Two such pipelines; the large node has time for one of them."""
    pools = (make.pool("s", cores=2.0, nodes=2), make.pool("l", cores=8.0))
    specs = [pair("one"), pair("two", weight=2.0)]
    profiles = {
        "small": make.profile(specs[0].tasks[0], cores=2.0),
        "large": make.profile(specs[0].tasks[1], cores=8.0),
    }
    clusters = make.fleet(make.cluster("c", *pools))
    return make.problem(specs, clusters, profiles, mode=Mode.MOST_SLA, **fields)


def test_a_part_of_a_pipeline_is_placed_unless_whole_ones_are_asked_for() -> None:
    assert len(planned(crowded()).assignments) == 3
    assert {a.pipeline for a in planned(crowded(whole=True)).assignments} == {"two"}


@pytest.mark.parametrize("options", [0, solving.WHOLE_OPTIONS])
def test_the_heavier_pipeline_is_kept_whole_and_the_other_says_why_not(
    monkeypatch: pytest.MonkeyPatch, options: int
) -> None:
    monkeypatch.setattr(solving, "WHOLE_OPTIONS", options)
    placement = planned(crowded(whole=True))
    assert [a.pipeline for a in placement.assignments] == ["two", "two"]
    assert {u.pipeline for u in placement.unplaced} == {"one"}


def test_a_budget_of_the_plan_is_kept_and_named() -> None:
    cost = planned(crowded(whole=True)).objective_micro_dollars
    within = planned(crowded(whole=True, budget_micro_dollars=cost))
    assert within.objective_micro_dollars == cost
    short = planned(crowded(whole=True, budget_micro_dollars=MicroDollars(cost - 1)))
    assert not short.assignments
    named = {
        verdict.binding.limit
        for explanation in short.explanations
        if explanation.pipeline == "two"
        for verdict in explanation.verdicts
        if verdict.binding is not None and verdict.pool == "l"
    }
    assert named == {Limit.BUDGET}
    assert {u.refusal.limit for u in short.unplaced} == {Limit.BUDGET}


def test_nothing_starts_before_the_earliest_start() -> None:
    spec = make.pipeline(make.task("a"))
    later = replace(spec, sla=replace(spec.sla, earliest_start=Deadline(within_seconds=5_000.0)))
    (found,) = planned(make.problem(later, make.fleet(make.cluster("c")))).assignments
    assert found.start_seconds == pytest.approx(make.AS_OF + 5_000.0)


def apart(price: float) -> PlacementProblem:
    """Data in a dear cluster; a cheap one stands in another region."""
    away = {"us-1": dollars(price)}
    clusters = make.fleet(
        make.cluster("dear", make.pool(price=4.0), transfer_micro_dollars_per_gib=away),
        make.cluster("cheap", make.pool(price=2.0), region="us-1"),
    )
    task = make.task("a", TaskKind.ETL, volume_gib=10.0, data_in="dear")
    return make.problem(make.pipeline(task), clusters)


@pytest.mark.parametrize(("price", "cluster"), [(0.01, "cheap"), (0.2, "dear")])
def test_a_task_goes_to_its_data_where_moving_them_costs_more(price: float, cluster: str) -> None:
    placement = planned(apart(price))
    assert [a.cluster for a in placement.assignments] == [cluster]


def test_moving_the_input_is_part_of_what_a_run_costs() -> None:
    placement = planned(apart(0.01))
    (only,) = placement.assignments
    (promise,) = placement.promises
    assert promise.run_cost_micro_dollars == only.cost_micro_dollars + dollars(0.1)


def test_a_stated_output_is_what_is_handed_on() -> None:
    first = make.task("a", TaskKind.TRAIN, output_gib=100.0)
    then = make.task("b", after=("a",))
    clusters = make.fleet(
        make.cluster(
            "c",
            make.pool("gpu", gpu=("t4", 1, 16.0), price=1.0),
            transfer_micro_dollars_per_gib={"us-1": dollars(0.1)},
        ),
        make.cluster("d", make.pool(price=0.1), region="us-1"),
    )
    profiles = {"a": make.profile(first, gpus=1, gpu_memory=8.0)}
    found = planned(make.problem(make.pipeline(first, then), clusters, profiles))
    assert {a.cluster for a in found.assignments} == {"c"}


def test_gpu_tasks_run_at_the_speed_of_the_gpus() -> None:
    task = make.task("a")
    fast = replace(make.pool(gpu=("h100", 1, 80.0)), gpu_speed=4.0)
    profiles = {"a": make.profile(task, seconds=3600.0, gpus=1, gpu_memory=40.0)}
    clusters = make.fleet(make.cluster("c", fast))
    (found,) = planned(make.problem(make.pipeline(task), clusters, profiles)).assignments
    assert found.end_seconds_p95 == pytest.approx(found.start_seconds + 900.0, abs=0.01)
