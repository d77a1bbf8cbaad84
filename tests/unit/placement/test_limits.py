"""Static limits: which one binds, with needs, has and unit."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.model.fleet import Cluster, NodeShape, Pool, Provider
from engine.model.identifiers import TaskName
from engine.model.plans import Limit, Mode, Placement, Ruling, Verdict
from engine.model.profiles import Profile
from engine.model.resources import Resource
from engine.model.specs import PipelineSpec, TaskSpec, Wishes, Workers
from placement import CpSatPlacer
from placement.problem.limits import shortage
from tests.support import placement_problems as make

TASK = make.task("t")
GPU_POOL = make.pool("gpu", gpu=("a100", 4, 40.0), nodes=2, cores=16.0, memory=64.0)


def placed(
    spec: PipelineSpec, *clusters: Cluster, profiles: dict[str, Profile] | None = None
) -> Placement:
    problem = make.problem(spec, make.fleet(*clusters), profiles, mode=Mode.MOST_SLA)
    return CpSatPlacer().place(problem)


def verdict(
    cluster: Cluster, *, task: TaskSpec = TASK, profile: Profile | None = None, **limits: object
) -> Verdict:
    spec = make.pipeline(task, **limits)
    profiles = {task.name: profile} if profile else None
    return placed(spec, cluster, profiles=profiles).explanations[0].verdicts[0]


def bound(found: Verdict) -> tuple[Limit, float | str, float | str, str]:
    assert found.binding is not None
    limit = found.binding
    return limit.limit, limit.needs, limit.has, limit.unit


def test_a_cluster_that_does_not_answer() -> None:
    found = verdict(make.cluster("c", reachable=False))
    assert bound(found)[0] is Limit.UNREACHABLE


@pytest.mark.parametrize(("regions", "ok"), [(("eu",), True), (("eu-1",), True), (("us",), False)])
def test_regions_match_by_name_and_by_continent(regions: tuple[str, ...], ok: bool) -> None:
    found = verdict(make.cluster("c"), regions=regions)
    assert (found.ruling is Ruling.CHOSEN) == ok
    if not ok:
        assert bound(found) == (Limit.REGION, "us", "eu-1", "")


def test_services_stay_off_clusters_that_run_only_what_ends() -> None:
    service = make.serving("t")
    cluster = make.cluster("c", executor="kubernetes", serves=False)
    found = verdict(cluster, task=service, profile=make.profile(service))
    assert bound(found)[:3] == (Limit.TAINT, "an executor that serves", "kubernetes")
    assert verdict(cluster).ruling is Ruling.CHOSEN


def test_workers_on_several_nodes_stay_off_clusters_whose_tasks_are_alone() -> None:
    train = replace(make.task("t"), workers=Workers(least=2, most=2))
    pool = make.pool(cores=4.0, nodes=2)
    cluster = make.cluster("c", pool, executor="containers", joins_nodes=False)
    apart = make.profile(train, cores=6.0, replicas=2)
    found = verdict(cluster, task=train, profile=apart)
    assert bound(found)[:3] == (Limit.TAINT, "an executor that joins nodes", "containers")
    assert verdict(make.cluster("c", pool), task=train, profile=apart).ruling is Ruling.CHOSEN
    together = make.profile(train, cores=4.0, replicas=2)
    assert verdict(cluster, task=train, profile=together).ruling is Ruling.CHOSEN


def test_tasks_that_read_elsewhere_stay_off_clusters_that_get_their_folder_alone() -> None:
    cluster = make.cluster("c", executor="kubernetes", reads_outside=False)
    away, here = (replace(TASK, reads=reads) for reads in ("../rows.csv", "rows.csv"))
    spec = replace(make.pipeline(away, here := replace(here, name=TaskName("u"))), folder="/pipe")
    found = {each.task: each.verdicts[0] for each in placed(spec, cluster).explanations}
    needs = "an executor that reads outside of the folder"
    assert bound(found[away.name])[:3] == (Limit.TAINT, needs, "kubernetes")
    assert found[here.name].ruling is Ruling.CHOSEN
    assert verdict(make.cluster("d"), task=away).ruling is Ruling.CHOSEN


def test_other_providers_are_refused() -> None:
    found = verdict(make.cluster("c", provider=Provider.AWS), providers=("azure", "gcp"))
    assert bound(found) == (Limit.PROVIDER, "azure or gcp", "aws", "")


@pytest.mark.parametrize(
    ("taint", "ok"), [("us", True), ("train", True), ("spot", True), ("team-b", False)]
)
def test_a_taint_keeps_out_all_but_those_it_is_for(taint: str, ok: bool) -> None:
    task = make.task("t", parameters={"tolerate": "other, spot"})
    found = verdict(make.cluster("c", make.pool(taints=(taint,))), task=task)
    assert (found.ruling is Ruling.CHOSEN) == ok
    if not ok:
        assert bound(found)[:2] == (Limit.TAINT, "leave for team-b")


def test_the_gpu_taint_lets_gpu_tasks_in() -> None:
    pool = replace(GPU_POOL, taints=("gpu",))
    found = verdict(make.cluster("c", pool), profile=make.profile(TASK, gpus=1))
    assert found.ruling is Ruling.CHOSEN


def test_a_shape_nobody_knows() -> None:
    pool = replace(make.pool(), shape=NodeShape(machine="x", cpu_cores=0.0, memory_gib=8.0))
    assert bound(verdict(make.cluster("c", pool)))[0] is Limit.UNKNOWN_SHAPE


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        (
            make.profile(TASK, gpus=1, gpu_models=("h100",)),
            (Limit.GPU_KIND, "h100", "a100", ""),
        ),
        (
            make.profile(TASK, gpus=1, gpu_memory=71.0),
            (Limit.GPU_MEMORY, 71.0, 40.0, "GiB per GPU"),
        ),
        (make.profile(TASK, gpus=16), (Limit.COUNT, 16.0, 8.0, "GPUs")),
        (make.profile(TASK, gpus=8), (Limit.NODE_FIT, 8.0, 4.0, "GPUs on one node")),
        (make.profile(TASK, memory=200.0), (Limit.MEMORY, 200.0, 128.0, "GiB")),
        (make.profile(TASK, memory=100.0), (Limit.NODE_FIT, 100.0, 64.0, "GiB on one node")),
        (make.profile(TASK, cores=33.0), (Limit.CPU, 33.0, 32.0, "cores")),
    ],
)
def test_what_does_not_fit(profile: Profile, expected: tuple[Limit, object, object, str]) -> None:
    assert bound(verdict(make.cluster("c", GPU_POOL), profile=profile)) == expected


def test_a_gpu_task_on_a_pool_without_gpus() -> None:
    profile = make.profile(TASK, gpus=1, gpu_models=("a100",))
    found = verdict(make.cluster("c"), profile=profile)
    assert bound(found) == (Limit.GPU_KIND, "a100", "none", "")
    assert Limit.COUNT in {refusal.limit for refusal in found.also}


def test_wishes_come_before_the_forecast() -> None:
    task = make.task("t", wishes=Wishes(memory_gib=64.0, gpu_model="h100"))
    found = verdict(make.cluster("c"), task=task, profile=make.profile(task))
    assert bound(found) == (Limit.MEMORY, 64.0, 16.0, "GiB")


def test_a_quota_binds_its_owner() -> None:
    cluster = make.cluster("c", quota={"us": {Resource.MEMORY: 8.0, Resource.CPU: 0.5}})
    assert bound(verdict(cluster)) == (Limit.QUOTA, 1.0, 0.5, "cores")


def test_a_quota_of_others_does_not_bind() -> None:
    cluster = make.cluster("c", quota={"others": {Resource.CPU: 0.5}})
    assert verdict(cluster).ruling is Ruling.CHOSEN


def test_a_quota_counts_tasks_that_run_at_once() -> None:
    spec = make.pipeline(make.task("a"), make.task("b"))
    cluster = make.cluster("c", quota={"us": {Resource.CPU: 1.5}})
    first, second = placed(spec, cluster).assignments
    assert {first.start_seconds, second.start_seconds} == {make.AS_OF, make.AS_OF + 3600}


def test_the_first_limit_in_order_binds_and_the_others_stand_beside() -> None:
    cluster = make.cluster("c", make.pool(memory=0.5), reachable=False)
    found = verdict(cluster, regions=("us",))
    assert bound(found)[0] is Limit.UNREACHABLE
    assert [refusal.limit for refusal in found.also] == [Limit.REGION, Limit.MEMORY]


def test_availability_takes_more_nodes_before_it_refuses() -> None:
    cluster = make.cluster("c", make.pool(nodes=4), availability=0.9995)
    spec = make.pipeline(make.serving(availability=0.9994))
    assert placed(spec, cluster).assignments[0].node_count == 2


def test_availability_a_cluster_does_not_have() -> None:
    cluster = make.cluster("c", make.pool(nodes=4), availability=0.99)
    found = verdict(cluster, task=make.serving(availability=0.999))
    assert bound(found)[:2] == (Limit.AVAILABILITY, 0.999)


def test_latency_is_round_trip_and_answer() -> None:
    task = make.serving(latency_ms_p99=30.0)
    cluster = make.cluster("c", make.pool(speed=2.0), latency_ms=20.0)
    found = verdict(cluster, task=task, profile=make.profile(task, service_ms_p99=40.0))
    assert bound(found) == (Limit.LATENCY, 30.0, 40.0, "ms")


def test_of_late_limits_the_shortest_binds() -> None:
    task = make.serving(latency_ms_p99=10.0, availability=0.9999)
    cluster = make.cluster("c", availability=0.99, latency_ms=11.0)
    found = verdict(cluster, task=task)
    assert bound(found)[0] is Limit.AVAILABILITY
    assert [refusal.limit for refusal in found.also] == [Limit.LATENCY]


def test_replicas_spread_only_as_far_as_they_must() -> None:
    task = make.serving()
    profile = make.profile(task, cores=8.0, replicas=4)
    spec = make.pipeline(task)
    made = placed(
        spec,
        make.cluster("c", make.pool(cores=4.0, nodes=4)),
        profiles={TaskName("serve"): profile},
    )
    assert (made.assignments[0].node_count, made.assignments[0].held.cpu_cores) == (2, 4.0)


def test_more_nodes_than_there_are() -> None:
    task = make.serving()
    profile = make.profile(task, cores=4.0, replicas=2, memory=2.0)
    pool = Pool(
        name=make.pool().name,
        shape=NodeShape(machine="m", cpu_cores=2.0, memory_gib=8.0),
        node_count=1,
        price_micro_dollars_per_hour=make.pool().price_micro_dollars_per_hour,
    )
    found = verdict(make.cluster("c", pool), task=task, profile=profile)
    assert bound(found)[0] is Limit.CPU
    assert (Limit.COUNT, 2, 1) in {(r.limit, r.needs, r.has) for r in found.also}


def test_words_have_no_shortage() -> None:
    found = verdict(make.cluster("c", reachable=False)).binding
    assert found is not None
    assert shortage(found) == 0.0
