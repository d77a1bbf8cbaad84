"""Verdicts, deltas, break-evens and reasons of single moves."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.model.fleet import Cluster
from engine.model.identifiers import MicroDollars
from engine.model.plans import (
    BreakEven,
    Explanation,
    Limit,
    Mode,
    Placement,
    PlacementProblem,
    Refusal,
    Reservation,
    Ruling,
    Turning,
    Verdict,
)
from engine.model.profiles import Profile, Quantiles
from engine.model.resources import Resources
from engine.model.specs import BudgetPeriod, Deadline, PipelineSpec, Sla, TaskKind
from placement import CpSatPlacer
from tests.support import placement_problems as make

TASK = make.task("t")
CHEAP = make.cluster("cheap", make.pool(price=1.0))
FAST = make.cluster("fast", make.pool(price=4.0, speed=2.0))


def asked(
    spec: PipelineSpec, *clusters: Cluster, profiles: dict[str, Profile] | None = None, **f: object
) -> PlacementProblem:
    return make.problem(spec, make.fleet(*clusters), profiles, mode=Mode.MOST_SLA, **f)


def placed(problem: PlacementProblem) -> Placement:
    return CpSatPlacer().place(problem)


def explained(problem: PlacementProblem, task: str = "t") -> Explanation:
    return next(e for e in placed(problem).explanations if e.task == task)


def verdict(problem: PlacementProblem, cluster: str, task: str = "t") -> Verdict:
    return next(v for v in explained(problem, task).verdicts if v.cluster == cluster)


def turning(problem: PlacementProblem, kind: Turning, task: str = "t") -> BreakEven:
    return next(b for b in explained(problem, task).break_evens if b.turning is kind)


def where(problem: PlacementProblem) -> str:
    return placed(problem).assignments[0].cluster


def priced(problem: PlacementProblem, cluster: str, price: int) -> PlacementProblem:
    clusters = tuple(
        replace(
            c,
            pools=(replace(c.pools[0], price_micro_dollars_per_hour=MicroDollars(price)),),
        )
        if c.name == cluster
        else c
        for c in problem.request.fleet.clusters
    )
    fleet = replace(problem.request.fleet, clusters=clusters)
    return replace(problem, request=replace(problem.request, fleet=fleet))


def test_an_alternative_tells_what_it_would_add() -> None:
    problem = asked(make.pipeline(TASK), CHEAP, FAST)
    chosen, other = verdict(problem, "cheap"), verdict(problem, "fast")
    assert chosen.cost_micro_dollars is not None
    assert other.cost_micro_dollars is not None
    assert (chosen.ruling, other.ruling) == (Ruling.CHOSEN, Ruling.POSSIBLE)
    assert other.delta_micro_dollars == other.cost_micro_dollars - chosen.cost_micro_dollars


def test_an_alternative_tells_when_it_would_end() -> None:
    found = verdict(asked(make.pipeline(TASK), CHEAP, FAST), "fast")
    assert (found.start_seconds, found.end_seconds_p95) == (make.AS_OF, make.AS_OF + 1800)


def uncertain(*clusters: Cluster) -> PlacementProblem:
    """A task that alone may use tainted pools, after another; both may take four times as long."""
    first = make.task("first")
    second = make.task("t", after=("first",), tolerates=("own",))
    spans = Quantiles(p50=3600.0, p80=5400.0, p90=7200.0, p95=10800.0, p99=14400.0)
    profiles = {f"p/{task.name}": make.profile(task, seconds=spans) for task in (first, second)}
    return asked(make.pipeline(first, second, deadline=86400.0), *clusters, profiles=profiles)


def test_an_alternative_as_fast_as_the_choice_starts_and_ends_with_it() -> None:
    problem = uncertain(CHEAP, make.cluster("dearer", make.pool(price=2.0)))
    chosen, other = verdict(problem, "cheap"), verdict(problem, "dearer")
    assert (chosen.ruling, other.ruling) == (Ruling.CHOSEN, Ruling.POSSIBLE)
    times = (other.start_seconds, other.end_seconds_p95)
    assert times == (chosen.start_seconds, chosen.end_seconds_p95)


def test_an_alternative_starts_and_ends_as_a_plan_tells_that_has_the_task_there() -> None:
    here, there = (
        make.cluster("own", make.pool(price=price, speed=2.0, taints=("own",)))
        for price in (8.0, 0.5)
    )
    other = verdict(uncertain(CHEAP, here), "own")
    moved = verdict(uncertain(CHEAP, there), "own")
    assert (other.ruling, moved.ruling) == (Ruling.POSSIBLE, Ruling.CHOSEN)
    times = (other.start_seconds, other.end_seconds_p95)
    assert times == (moved.start_seconds, moved.end_seconds_p95)


def test_a_serve_task_is_compared_by_the_hour() -> None:
    problem = asked(make.pipeline(make.serving()), CHEAP, FAST)
    assert verdict(problem, "fast", "serve").delta_micro_dollars == 750_000


@pytest.mark.parametrize(("less", "moves"), [(1, True), (-1, False)])
def test_below_its_break_even_price_the_other_pool_wins(less: int, moves: bool) -> None:
    problem = asked(make.pipeline(TASK), CHEAP, FAST)
    found = turning(problem, Turning.PRICE)
    assert found.cluster == "fast"
    dearer = priced(problem, "fast", round(found.value) - 1_000 * less)
    assert (where(dearer) == "fast") == moves


@pytest.mark.parametrize(("earlier", "cluster"), [(1.0, "fast"), (0.0, "cheap")])
def test_before_its_break_even_deadline_the_task_moves(earlier: float, cluster: str) -> None:
    problem = asked(make.pipeline(TASK, deadline=7200.0), CHEAP, FAST)
    found = turning(problem, Turning.DEADLINE)
    assert (found.cluster, found.value) == ("fast", make.AS_OF + 3600)
    sla = Sla(deadline=Deadline(at_seconds=found.value - earlier))
    spec = replace(problem.request.pipelines[0], sla=sla)
    moved = replace(problem, request=replace(problem.request, pipelines=(spec,)))
    assert where(moved) == cluster


def small_memory(price: float) -> PlacementProblem:
    """A pool with little memory, a large one, and a task that needs 12 GiB."""
    little = make.cluster("little", make.pool(cores=4.0, memory=8.0, price=price))
    large = make.cluster("large", make.pool(cores=8.0, memory=64.0, price=4.0))
    profiles = {"t": make.profile(TASK, memory=12.0)}
    return asked(make.pipeline(TASK), little, large, profiles=profiles)


@pytest.mark.parametrize(("price", "expected"), [(0.4, 8.0), (1.2, 4.0 / 1.2 / 8 * 8)])
def test_below_its_break_even_memory_a_small_pool_wins(price: float, expected: float) -> None:
    problem = small_memory(price)
    found = turning(problem, Turning.MEMORY)
    assert found.cluster == "little"
    assert found.value == pytest.approx(expected, rel=1e-4)
    fits = replace(problem, profiles={"p/t": make.profile(TASK, memory=found.value * (1 - 1e-4))})
    assert where(fits) == "little"
    more = replace(problem, profiles={"p/t": make.profile(TASK, memory=found.value * 1.01)})
    assert where(more) == "large"


def test_no_memory_would_make_a_dear_small_pool_the_cheapest() -> None:
    kinds = {b.turning for b in explained(small_memory(9.0)).break_evens}
    assert Turning.MEMORY not in kinds


def test_replicas_have_no_break_even_memory() -> None:
    problem = small_memory(0.4)
    profile = make.profile(TASK, memory=64.0, replicas=2)
    kinds = {b.turning for b in explained(replace(problem, profiles={"p/t": profile})).break_evens}
    assert Turning.MEMORY not in kinds


def test_a_pool_that_would_be_too_late() -> None:
    slow = make.cluster("slow", make.pool(speed=0.25, price=0.5))
    problem = asked(make.pipeline(TASK, deadline=7200.0), CHEAP, slow)
    found = verdict(problem, "slow").binding
    assert found == Refusal(limit=Limit.DEADLINE, needs=14_400.0, has=7200.0, unit="s")


def test_lateness_counts_those_that_wait() -> None:
    spec = make.pipeline(TASK, make.task("u", after=("t",)), deadline=10_000.0)
    slow = make.cluster("slow", make.pool(speed=0.5, price=0.9))
    found = verdict(asked(spec, CHEAP, slow), "slow").binding
    assert found == Refusal(limit=Limit.DEADLINE, needs=10_800.0, has=10_000.0, unit="s")


def test_a_pool_that_is_too_dear() -> None:
    spec = make.pipeline(TASK, budget_micro_dollars=MicroDollars(300_000))
    found = verdict(asked(spec, CHEAP, FAST), "fast").binding
    assert found == Refusal(limit=Limit.BUDGET, needs=0.5, has=0.3, unit="USD per run")


def test_a_serving_budget_is_told_by_the_hour() -> None:
    spec = make.pipeline(
        make.serving(),
        budget_micro_dollars=MicroDollars(216_000_000),
        budget_period=BudgetPeriod.MONTH,
    )
    found = verdict(asked(spec, CHEAP, FAST), "fast", "serve").binding
    assert found == Refusal(limit=Limit.BUDGET, needs=1.0, has=0.3, unit="USD per hour")


def held(cluster: Cluster, *, cores: float, holder: str = "others") -> Reservation:
    return Reservation(
        cluster=cluster.name,
        pool=cluster.pools[0].name,
        holder=holder,
        held=Resources(cpu_cores=cores),
        from_seconds=make.AS_OF - 10,
    )


def test_a_pool_that_is_full() -> None:
    problem = asked(make.pipeline(TASK), CHEAP, FAST, reservations=(held(CHEAP, cores=3.5),))
    found = verdict(problem, "cheap").binding
    assert found == Refusal(limit=Limit.SLOT_CAPACITY, needs=1.0, has=0.5, unit="cores")


def test_a_task_that_waits_for_this_one_may_find_no_room() -> None:
    spec = make.pipeline(TASK, make.task("u", after=("t",)), deadline=7300.0)
    others = Reservation(
        cluster=CHEAP.name,
        pool=CHEAP.pools[0].name,
        holder="others",
        held=Resources(cpu_cores=3.5),
        from_seconds=make.AS_OF + 7210.0,
    )
    fits_only_cheap = make.profile(make.task("u"), cores=1.0, memory=14.0)
    little = make.cluster("little", make.pool(memory=8.0, speed=0.99, price=0.5))
    problem = asked(spec, CHEAP, little, reservations=(others,), profiles={"u": fits_only_cheap})
    assert verdict(problem, "little").binding == Refusal(
        limit=Limit.SLOT_CAPACITY, needs=1.0, has=0.5, unit="cores for u"
    )


def test_the_largest_shortage_binds_when_only_a_promise_is_broken() -> None:
    spec = make.pipeline(
        make.serving(latency_ms_p99=100.0),
        budget_micro_dollars=MicroDollars(1_440_000_000),
        budget_period=BudgetPeriod.MONTH,
    )
    near = make.cluster("near", make.pool(price=1.0), latency_ms=10.0)
    far = make.cluster("far", make.pool(price=40.0), latency_ms=101.0)
    found = verdict(asked(spec, near, far), "far", "serve")
    assert found.binding == Refusal(limit=Limit.BUDGET, needs=10.0, has=2.0, unit="USD per hour")
    assert [refusal.limit for refusal in found.also] == [Limit.LATENCY]


def test_break_evens_stand_on_what_can_be_written() -> None:
    for kind, unit in ((Turning.PRICE, 1.0), (Turning.MEMORY, 1 / 1024)):
        problem = (
            small_memory(1.2) if kind is Turning.MEMORY else asked(make.pipeline(TASK), CHEAP, FAST)
        )
        value = turning(problem, kind).value / unit
        assert value == round(value)


def test_what_its_own_tasks_reserved_does_not_count_twice() -> None:
    reserved = held(CHEAP, cores=4.0, holder="p/t")
    assert where(asked(make.pipeline(TASK), CHEAP, FAST, reservations=(reserved,))) == "cheap"


def test_a_task_whose_upstream_has_no_place_cannot_start() -> None:
    spec = make.pipeline(TASK, make.task("u", after=("t",)))
    problem = asked(spec, CHEAP, profiles={"t": make.profile(TASK, cores=64.0)})
    by_task = {str(u.task): u.refusal for u in placed(problem).unplaced}
    assert by_task["t"].limit is Limit.CPU
    assert by_task["u"] == Refusal(
        limit=Limit.EARLIEST_START, needs="a place for t", has="none in this plan"
    )


def test_an_unplaced_task_names_the_pool_that_came_nearest() -> None:
    near = make.cluster("near", make.pool(cores=4.0, memory=12.0))
    problem = asked(
        make.pipeline(TASK, regions=("eu",)),
        make.cluster("far", region="us-1"),
        CHEAP,
        near,
        profiles={"t": make.profile(TASK, memory=20.0)},
    )
    refusal = placed(problem).unplaced[0].refusal
    assert (refusal.limit, refusal.needs, refusal.has) == (Limit.MEMORY, 20.0, 16.0)


@pytest.mark.parametrize(
    ("clusters", "why"),
    [((CHEAP,), "the only place that fits"), ((CHEAP, FAST), "cheapest in time")],
)
def test_why_a_place_was_chosen(clusters: tuple[Cluster, ...], why: str) -> None:
    assert placed(asked(make.pipeline(TASK), *clusters)).assignments[0].why == why


def test_why_beside_its_upstream() -> None:
    spec = make.pipeline(TASK, make.task("u", after=("t",)))
    assert placed(asked(spec, CHEAP, FAST)).assignments[1].why == "cheapest, beside t"


def test_why_it_waits() -> None:
    spec = make.pipeline(TASK, make.task("u"))
    profiles = {name: make.profile(TASK, cores=4.0) for name in ("t", "u")}
    problem = asked(spec, CHEAP, FAST, profiles=profiles)
    whys = {a.why for a in placed(problem).assignments}
    assert whys == {"cheapest in time", "cheapest once there is room"}


def test_why_not_the_cheapest() -> None:
    problem = asked(make.pipeline(TASK, deadline=2000.0), CHEAP, FAST)
    assert placed(problem).assignments[0].why == "cheapest that fits the whole plan"


def test_data_hold_a_task_where_they_are() -> None:
    away = replace(
        make.cluster("away", make.pool(price=1.0, memory=4.0), region="us-1"),
        transfer_micro_dollars_per_gib={"eu-1": MicroDollars(100_000)},
    )
    near = make.cluster("near", make.pool(price=0.9, cores=8.0, memory=64.0))
    etl = make.task("etl", TaskKind.ETL, volume_gib=100.0)
    spec = make.pipeline(etl, make.task("t", after=("etl",), parameters={"tolerate": "x"}))
    only_away = replace(near, pools=(replace(near.pools[0], taints=("x",)),))
    by_task = {str(a.task): a for a in placed(asked(spec, away, only_away)).assignments}
    assert (by_task["t"].cluster, by_task["t"].why) == ("away", "its data is here")
