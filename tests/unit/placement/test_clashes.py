"""Wishes that cannot hold together: the smallest set, and what would end the clash."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

import pytest

from engine.model.errors import InfeasibleError
from engine.model.fleet import Cluster, Fleet, Provider
from engine.model.identifiers import MicroDollars
from engine.model.plans import Mode, PlacementProblem, Reservation
from engine.model.profiles import Profile, Quantiles
from engine.model.resources import Resources
from engine.model.specs import BudgetPeriod, PipelineSpec
from placement import CpSatPlacer
from placement.account.relaxations import duration_text
from tests.support import placement_problems as make

CHEAP = make.cluster("cheap", make.pool(price=1.0, speed=0.5))
FAST = make.cluster("fast", make.pool(price=8.0, speed=2.0), region="us-1", provider=Provider.AWS)
TASK = make.task("t")


def asked(
    spec: PipelineSpec | list[PipelineSpec],
    *clusters: Cluster,
    profiles: Mapping[str, Profile] | None = None,
    **fields: object,
) -> PlacementProblem:
    members = clusters or (CHEAP, FAST)
    return make.problem(spec, make.fleet(*members), profiles, mode=Mode.LEAST_COST, **fields)


def clash(problem: PlacementProblem) -> dict[str, str]:
    with pytest.raises(InfeasibleError) as caught:
        CpSatPlacer().place(problem)
    assert caught.value.fix
    return {c.wish: c.relaxation for c in caught.value.clashes}


def changed(problem: PlacementProblem, spec: PipelineSpec) -> PlacementProblem:
    return replace(problem, request=replace(problem.request, pipelines=(spec,)))


def test_budget_and_deadline_clash_and_nothing_else() -> None:
    spec = make.pipeline(TASK, deadline=3600.0, budget_micro_dollars=MicroDollars(500_000))
    found = clash(asked(spec))
    assert found == {
        "budget 0.50 USD per run of p": "a budget 1.00 USD per run at least",
        "the deadline of p": "a deadline 1 h later",
    }


def test_each_relaxation_ends_the_clash_and_a_little_less_does_not() -> None:
    spec = make.pipeline(TASK, deadline=3600.0, budget_micro_dollars=MicroDollars(500_000))
    problem = asked(spec)
    enough = replace(
        spec, limits=replace(spec.limits, budget_micro_dollars=MicroDollars(1_000_000))
    )
    short = replace(spec, limits=replace(spec.limits, budget_micro_dollars=MicroDollars(999_999)))
    assert CpSatPlacer().place(changed(problem, enough)).assignments[0].cluster == "fast"
    clash(changed(problem, short))


def test_a_small_budget_is_told_with_all_its_digits() -> None:
    spec = make.pipeline(TASK, budget_micro_dollars=MicroDollars(100))
    profile = make.profile(TASK, seconds=5.0)
    found = clash(asked(spec, profiles={"t": profile}))
    assert found == {"budget 0.000100 USD per run of p": "a budget 0.000694 USD per run at least"}


def test_a_monthly_budget_binds_serving() -> None:
    spec = make.pipeline(
        make.serving(),
        budget_micro_dollars=MicroDollars(100_000_000),
        budget_period=BudgetPeriod.MONTH,
    )
    assert clash(asked(spec)) == {
        "budget 100.00 USD per month of p": "a budget 180.00 USD per month at least"
    }


def test_regions_that_are_too_slow() -> None:
    spec = make.pipeline(TASK, deadline=3600.0, regions=("eu",))
    assert clash(asked(spec)) == {
        "the deadline of p": "a deadline 1 h later",
        "regions eu of p": "also region us-1",
    }


def test_providers_that_have_no_cluster() -> None:
    spec = make.pipeline(TASK, providers=("azure",))
    assert clash(asked(spec)) == {"providers azure of p": "also provider on-premises"}


def test_regions_of_which_none_is_enough_alone() -> None:
    spec = make.pipeline(TASK, regions=("mars-1",), providers=("aws",))
    slow = make.cluster("slow", region="us-1", provider=Provider.AWS, reachable=False)
    found = clash(asked(spec, slow, FAST))
    assert found == {"regions mars-1 of p": "also region us-1"}


def test_keep_is_given_up_for_a_deadline() -> None:
    seconds = Quantiles(p50=1000.0, p80=2000.0, p90=3000.0, p95=4000.0, p99=5000.0)
    spec = make.pipeline(TASK, deadline=1500.0, keep=0.95)
    found = clash(asked(spec, FAST, profiles={"t": make.profile(TASK, seconds=seconds)}))
    assert found == {
        "the deadline of p": "a deadline 8 min 20 s later",
        "keep 0.95 of p": "keep 0.90 at most",
    }


def test_availability_and_latency() -> None:
    wanted = make.serving(availability=0.9999, latency_ms_p99=50.0)
    near = make.cluster("near", availability=0.99, latency_ms=5.0)
    far = make.cluster("far", availability=0.99999, latency_ms=90.0)
    assert clash(asked(make.pipeline(wanted), near, far)) == {
        "availability 0.9999 of p/serve": "availability 98.9010 % at most",
        "p99 50 ms of p/serve": "p99 90 ms at least",
    }


def test_capacity_that_others_hold() -> None:
    spec = make.pipeline(TASK, deadline=7200.0)
    held = Reservation(
        cluster=CHEAP.name,
        pool=CHEAP.pools[0].name,
        holder="other teams",
        held=Resources(cpu_cores=4.0, memory_gib=16.0),
        from_seconds=make.AS_OF,
    )
    assert clash(asked(spec, CHEAP, reservations=(held,))) == {
        "the capacity there is": "1 more node in cheap/cpu"
    }


def test_two_pipelines_that_fit_alone_but_not_together() -> None:
    both = [make.pipeline(TASK, name=name, deadline=7200.0, regions=("eu",)) for name in ("p", "q")]
    profile = make.profile(TASK, cores=4.0)
    found = clash(asked(both, profiles={"t": profile}))
    assert found["the capacity there is"] == "1 more node in cheap/cpu"
    assert {re.sub(r" of .*", "", wish) for wish in found} <= {
        "the capacity there is",
        "the deadline",
        "regions eu",
    }


def test_one_pipeline_that_has_no_plan_alone_is_named_alone() -> None:
    fine = make.pipeline(TASK, name="fine", deadline=86_400.0)
    hopeless = make.pipeline(TASK, name="hopeless", deadline=60.0)
    assert set(clash(asked([fine, hopeless]))) == {"the deadline of hopeless"}


def test_a_machine_nobody_has() -> None:
    profile = make.profile(TASK, gpus=16, gpu_models=("h100",))
    gpu = make.cluster("g", make.pool(gpu=("h100", 8, 80.0)))
    assert clash(asked(make.pipeline(TASK), gpu, profiles={"t": profile})) == {
        "a machine for p/t: count 16 GPUs": "count 8 GPUs at most"
    }


def test_every_task_that_fits_nowhere_is_named() -> None:
    large = make.task("large")
    gpu = make.task("gpu")
    pipelines = [
        make.pipeline(TASK, large, name="p", deadline=60.0),
        make.pipeline(gpu, name="q"),
    ]
    profiles = {
        "large": make.profile(large, memory=100.0),
        "gpu": make.profile(gpu, gpus=1, gpu_models=("h100",)),
    }
    with pytest.raises(InfeasibleError) as caught:
        CpSatPlacer().place(asked(pipelines, profiles=profiles))
    assert {c.wish: c.relaxation for c in caught.value.clashes} == {
        "a machine for p/large: memory 100 GiB": "memory 16 GiB at most",
        "a machine for q/gpu: gpu kind h100 and count 1 GPUs": (
            "gpu kind none and count 0 GPUs at most"
        ),
    }
    assert caught.value.fix == "memory 16 GiB at most; gpu kind none and count 0 GPUs at most"


def test_a_pool_that_keeps_others_out_would_have_to_let_the_task_in() -> None:
    taken = make.cluster("taken", make.pool(taints=("others",)))
    assert clash(asked(make.pipeline(TASK), taken)) == {
        "a machine for p/t: taint leave for others": "leave for others"
    }


def test_more_nodes_are_counted_when_availability_is_relaxed() -> None:
    spec = make.pipeline(make.serving(availability=0.9995))
    single = make.cluster("single", make.pool(nodes=3), availability=0.999)
    assert clash(asked(spec, single)) == {
        "availability 0.9995 of p/serve": "availability 99.8999 % at most"
    }


def test_a_fleet_of_pools_without_nodes_asks_nobody_for_smaller_tasks() -> None:
    empty = make.cluster("c", make.pool(nodes=0), make.pool("gpu", nodes=0, gpu=("a100", 1, 80.0)))
    found = clash(asked(make.pipeline(TASK), empty))
    assert found == {"a machine for p/t: no pool has a node": "a pool with nodes"}
    # Where there are nodes somewhere, what those lack is told.
    small = make.cluster("d", make.pool(memory=0.5))
    assert "0.5 GiB" in "".join(clash(asked(make.pipeline(TASK), empty, small)).values())


def test_a_fleet_of_nothing() -> None:
    problem = replace(
        asked(make.pipeline(TASK)),
        request=replace(asked(make.pipeline(TASK)).request, fleet=Fleet(clusters=())),
    )
    assert clash(problem) == {"a machine for p/t": "a fleet with clusters"}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "1 s"),
        (59.0, "59 s"),
        (60.0, "1 min"),
        (500.0, "8 min 20 s"),
        (3600.0, "1 h"),
        (7201.0, "2 h 1 min"),
        (172_800.0, "2 d"),
        (2_470_626_000.0, "28,595 d 5 h"),
    ],
)
def test_durations_are_rounded_up(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text
