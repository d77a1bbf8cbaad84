"""Machines that may be taken away: what runs there, how long, and at what price."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest

from engine.model.errors import InfeasibleError
from engine.model.fleet import Cluster, Pool
from engine.model.plans import Limit, Mode, Placement, Refusal
from engine.model.profiles import Quantiles
from engine.model.specs import TaskSpec
from placement import CpSatPlacer
from placement.problem import interruptions
from tests.support import placement_problems as make

HOUR = 3600.0


def taken_away(price: float, often: float, **fields: object) -> Pool:
    return replace(make.pool("spot", price=price, **fields), interruptions_per_hour=often)


def site(often: float, price: float = 0.3) -> tuple[Cluster, ...]:
    return (
        make.cluster("spot", taken_away(price, often)),
        make.cluster("steady", make.pool(price=1.0)),
    )


def planned(
    task: TaskSpec, *clusters: Cluster, seconds: float = HOUR, **limits: float
) -> Placement:
    spec = make.pipeline(task, **limits)
    profiles = {task.name: make.profile(task, seconds=seconds)}
    return CpSatPlacer().place(
        make.problem(spec, make.fleet(*clusters), profiles, mode=Mode.MOST_SLA)
    )


def stands(placement: Placement) -> str:
    return placement.assignments[0].cluster


def refused(placement: Placement, cluster: str) -> Refusal | None:
    return next(v.binding for v in placement.explanations[0].verdicts if v.cluster == cluster)


def simulated(seconds: float, per_hour: float, runs: int = 20_000) -> list[float]:
    chance = random.Random(1)
    found = []
    for _ in range(runs):
        total = 0.0
        while (cut := chance.expovariate(per_hour / HOUR)) < seconds:
            total += cut
        found.append(total + seconds)
    return sorted(found)


def test_the_mean_is_that_of_runs_that_begin_again() -> None:
    runs = simulated(2 * HOUR, 0.4)
    mean = interruptions.expected_seconds(2 * HOUR, 0.4)
    assert mean == pytest.approx(sum(runs) / len(runs), rel=0.02)


@pytest.mark.parametrize("per_hour", [0.05, 0.4, 1.0])
def test_no_level_is_passed_more_often_than_it_may(per_hour: float) -> None:
    runs = simulated(HOUR, per_hour)
    lasting = interruptions.lasting(Quantiles.constant(HOUR), per_hour)
    for level, seconds in zip((0.5, 0.8, 0.9, 0.95, 0.99), lasting.values, strict=True):
        within = sum(run <= seconds + 1e-6 for run in runs) / len(runs)
        assert within >= level - 0.01


def test_where_nothing_is_taken_away_runs_are_as_they_were() -> None:
    duration = Quantiles(p50=1.0, p80=2.0, p90=3.0, p95=4.0, p99=5.0)
    assert interruptions.lasting(duration, 0.0) is duration
    assert interruptions.expected_seconds(5.0, 0.0) == 5.0


def test_a_task_takes_the_cheap_machines_with_the_risk_in_the_price() -> None:
    placement = planned(make.task("t"), *site(0.1))
    assert stands(placement) == "spot"
    cost = placement.objective_micro_dollars
    assert cost == round(300_000 / 4 * math.expm1(0.1) / 0.1)


def test_the_risk_may_cost_more_than_the_discount() -> None:
    assert stands(planned(make.task("t"), *site(0.5, price=0.9))) == "steady"


def test_a_deadline_leaves_no_time_for_tries_that_are_lost() -> None:
    placement = planned(make.task("t"), *site(0.1), deadline=1.5 * HOUR)
    assert stands(placement) == "steady"
    assert refused(placement, "spot") == Refusal(
        limit=Limit.DEADLINE, needs=2 * HOUR, has=1.5 * HOUR, unit="s"
    )


def test_a_task_that_must_not_be_interrupted_is_not() -> None:
    placement = planned(make.task("t", interruptible=False), *site(0.1))
    assert stands(placement) == "steady"
    assert refused(placement, "spot") == Refusal(
        limit=Limit.TAINT, needs="machines that stay", has="0.1 interruptions an hour"
    )


def test_a_task_that_tolerates_a_taint_is_let_in() -> None:
    tainted = make.cluster("tainted", make.pool(price=0.5, taints=("night",)))
    steady = make.cluster("steady", make.pool(price=1.0))
    assert stands(planned(make.task("t"), tainted, steady)) == "steady"
    assert stands(planned(make.task("t", tolerates=("night",)), tainted, steady)) == "tainted"


def test_a_service_stands_on_machines_that_stay() -> None:
    assert stands(planned(make.serving(), *site(0.01))) == "steady"


def test_a_run_that_would_hardly_ever_end_is_not_begun() -> None:
    placement = planned(make.task("t"), *site(1.0), seconds=3 * HOUR)
    found = refused(placement, "spot")
    assert found is not None
    assert (found.limit, found.has) == (Limit.TAINT, interruptions.MOST_TRIES)
    assert found.needs == pytest.approx(math.exp(3.0))


def test_a_wish_for_machines_that_stay_is_named_when_it_clashes() -> None:
    spec = make.pipeline(make.task("t", interruptible=False), regions=("eu-1",))
    clusters = make.fleet(
        make.cluster("spot", taken_away(0.3, 0.1)),
        make.cluster("far", make.pool(), region="us-1"),
    )
    with pytest.raises(InfeasibleError) as caught:
        CpSatPlacer().place(make.problem(spec, clusters, mode=Mode.LEAST_COST))
    assert {c.wish: c.relaxation for c in caught.value.clashes} == {
        "regions eu-1 of p": "also region us-1",
        "machines that stay of p/t": "machines that may be taken away",
    }


def test_without_a_deadline_lost_tries_are_no_reason_to_refuse_a_run() -> None:
    spec = make.pipeline(make.task("a"))
    spot = make.fleet(make.cluster("spot", taken_away(0.3, 0.25)))
    profiles = {"a": make.profile(spec.tasks[0], seconds=8 * HOUR)}
    for mode in Mode:
        problem = make.problem(spec, spot, profiles, mode=mode)
        assert stands(CpSatPlacer().place(problem)) == "spot"


def test_runs_with_lost_tries_wait_for_one_another_without_a_deadline() -> None:
    tasks = [make.task(name) for name in "abc"]
    spot = make.fleet(make.cluster("spot", taken_away(0.3, 0.25, cores=1.0)))
    profiles = {task.name: make.profile(task, seconds=6 * HOUR) for task in tasks}
    problem = make.problem(make.pipeline(*tasks), spot, profiles, mode=Mode.MOST_SLA)
    assert not CpSatPlacer().place(problem).unplaced


def test_a_run_that_may_take_far_longer_than_most_can_be_planned() -> None:
    # Of a run as long as its P99 no try ends, as far as floating point tells.
    spread = Quantiles(p50=HOUR, p80=HOUR, p90=HOUR, p95=HOUR, p99=1_000 * HOUR)
    task = make.task("a")
    spot = make.fleet(make.cluster("spot", taken_away(0.3, 0.05)))
    problem = make.problem(make.pipeline(task), spot, {"a": make.profile(task, seconds=spread)})
    assert stands(CpSatPlacer().place(problem)) == "spot"
    assert math.isfinite(interruptions.lasting(spread, 0.05).p99)
