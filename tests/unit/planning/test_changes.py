"""What-if: changes in words give the plan that would follow."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.model.errors import InvalidInputError
from engine.model.identifiers import PipelineName, dollars
from engine.model.plans import Mode, Plan, PlanRequest
from engine.model.specs import Deadline, PipelineSpec, Serving, Sla, TaskKind
from engine.planning import Planner, changed_request, what_if


@pytest.fixture
def plan(planner: Planner, request_for: PlanRequest) -> Plan:
    return planner.plan(request_for, [])


def spec(request: PlanRequest, *changes: str) -> PipelineSpec:
    return changed_request(request, changes).pipelines[0]


def test_without_changes_the_same_plan_follows(planner: Planner, plan: Plan) -> None:
    assert what_if(planner, plan, [], []) == plan


def test_a_cluster_may_be_down(planner: Planner, plan: Plan) -> None:
    other = what_if(planner, plan, ["cluster:eu-1=down"], [])
    assert {a.cluster for a in other.placement.assignments} == {"eu-2"}


def test_a_cluster_may_be_up_again(request_for: PlanRequest) -> None:
    changed = changed_request(request_for, ["cluster:eu-1=down", "cluster:eu-1=up"])
    assert changed == request_for


def test_a_price_may_differ(request_for: PlanRequest) -> None:
    changed = changed_request(request_for, ["price:eu-1/nodes=2 USD per hour"])
    pool = changed.fleet.cluster("eu-1").pool("nodes")
    assert pool.price_micro_dollars_per_hour == dollars(2)
    assert changed.fleet.cluster("eu-2") == request_for.fleet.cluster("eu-2")


def test_a_price_may_be_a_multiple_of_todays(request_for: PlanRequest) -> None:
    changed = changed_request(request_for, ["price:eu-1/nodes=x1.5"])
    before = request_for.fleet.cluster("eu-1").pool("nodes").price_micro_dollars_per_hour
    after = changed.fleet.cluster("eu-1").pool("nodes").price_micro_dollars_per_hour
    assert after == round(before * 1.5)


def test_every_pool_of_a_cluster_may_have_another_price(request_for: PlanRequest) -> None:
    changed = changed_request(request_for, ["price:eu-1=2 USD per hour"])
    prices = {p.price_micro_dollars_per_hour for p in changed.fleet.cluster("eu-1").pools}
    assert prices == {dollars(2)}


def test_a_pool_may_be_larger(request_for: PlanRequest) -> None:
    changed = changed_request(request_for, ["count:us-1/nodes=9"])
    assert changed.fleet.cluster("us-1").pool("nodes").node_count == 9


def test_other_pools_of_a_cluster_stay(request_for: PlanRequest) -> None:
    cluster = request_for.fleet.clusters[0]
    spare = replace(cluster.pools[0], name="spare")
    wide = replace(cluster, pools=(*cluster.pools, spare))
    request = replace(request_for, fleet=replace(request_for.fleet, clusters=(wide,)))
    changed = changed_request(request, ["count:eu-1/nodes=9"])
    assert changed.fleet.cluster("eu-1").pool("spare") == spare


@pytest.mark.parametrize(
    ("change", "deadline"),
    [
        ("sla.deadline=04:00", Deadline(daily_at="04:00")),
        ("deadline=in 10 min", Deadline(within_seconds=600.0)),
        ("deadline=daily 04:00 Asia/Tokyo", Deadline(daily_at="04:00", zone="Asia/Tokyo")),
    ],
)
def test_a_deadline_may_be_another(
    request_for: PlanRequest, change: str, deadline: Deadline
) -> None:
    assert spec(request_for, change).sla.deadline == deadline


def test_an_hour_keeps_the_zone_of_the_deadline(request_for: PlanRequest) -> None:
    sla = Sla(deadline=Deadline(daily_at="06:00", zone="Europe/Paris"))
    pipeline = replace(request_for.pipelines[0], sla=sla)
    request = replace(request_for, pipelines=(pipeline,))
    deadline = spec(request, "deadline=4:00").sla.deadline
    assert deadline == Deadline(daily_at="04:00", zone="Europe/Paris")


def test_limits_may_be_others(request_for: PlanRequest) -> None:
    limits = spec(request_for, "budget=40 USD per run", "regions=[eu, us]").limits
    assert limits.budget_micro_dollars == dollars(40)
    assert limits.regions == ("eu", "us")


def test_keys_of_a_task_may_be_set(request_for: PlanRequest) -> None:
    assert spec(request_for, "tasks.train.memory=2 GiB").task("train").wishes.memory_gib == 2.0


def test_a_key_of_a_task_is_set_in_the_pipelines_that_have_it(request_for: PlanRequest) -> None:
    own = request_for.pipelines[0]
    other = replace(own, name=PipelineName("other"), tasks=own.tasks[:1])
    request = replace(request_for, pipelines=(own, other))
    changed = changed_request(request, ["tasks.train.memory=2 GiB"])
    assert changed.pipelines[0].task("train").wishes.memory_gib == 2.0
    assert changed.pipelines[1] == other


def test_a_task_may_be_added(request_for: PlanRequest) -> None:
    assert spec(request_for, "tasks.report.kind=etl").task("report").kind is TaskKind.ETL


def test_a_misspelt_task_comes_with_those_alike(request_for: PlanRequest) -> None:
    with pytest.raises(InvalidInputError) as raised:
        changed_request(request_for, ["tasks.trian.memory=2 GiB"])
    assert raised.value.faults[0].candidates == ("train",)


def test_demand_multiplies_requests_and_data(request_for: PlanRequest) -> None:
    pipeline = request_for.pipelines[0]
    etl = replace(pipeline.tasks[0], volume_gib=2.0, rows=10)
    serve = replace(pipeline.tasks[3], serving=Serving(requests_per_second_peak=20.0))
    request = replace(request_for, pipelines=(replace(pipeline, tasks=(etl, serve)),))
    changed = spec(request, "demand=x1.5")
    assert (changed.tasks[0].volume_gib, changed.tasks[0].rows) == (3.0, 15)
    assert changed.tasks[1].serving == Serving(requests_per_second_peak=30.0)


def test_demand_of_nobody_is_no_change(request_for: PlanRequest) -> None:
    pipeline = request_for.pipelines[0]
    bare = replace(pipeline.tasks[0], volume_gib=None, rows=None, serving=None)
    request = replace(request_for, pipelines=(replace(pipeline, tasks=(bare,)),))
    with pytest.raises(InvalidInputError, match="demand") as raised:
        changed_request(request, ["demand=x2"])
    assert "how much it reads or serves" in raised.value.faults[0].message
    assert changed_request(request, ["demand=x1"]) == request


def test_the_mode_may_be_the_other(request_for: PlanRequest) -> None:
    assert changed_request(request_for, ["mode=most-sla"]).mode is Mode.MOST_SLA


@pytest.mark.parametrize(
    ("change", "budget"),
    [("plan.budget=12.5 USD", dollars(12.5)), ("plan.budget=none", None)],
)
def test_the_whole_plan_may_have_another_budget(
    request_for: PlanRequest, change: str, budget: int | None
) -> None:
    request = replace(request_for, budget_micro_dollars=dollars(1))
    assert changed_request(request, [change]).budget_micro_dollars == budget


def test_pipelines_may_be_placed_whole_or_in_parts(request_for: PlanRequest) -> None:
    whole = changed_request(request_for, ["plan.whole=yes"])
    assert whole.whole
    assert not changed_request(whole, ["plan.whole=no"]).whole


@pytest.mark.parametrize(
    ("change", "code", "part"),
    [
        ("nonsense", "S021", "is no KEY=VALUE"),
        ("=3", "S021", "is no KEY=VALUE"),
        ("deadline=", "S021", "is no KEY=VALUE"),
        ("cluster:eu-9=down", "S021", "there is no cluster 'eu-9'"),
        ("cluster:eu-1=sideways", "S021", "`up` or `down`, not 'sideways'"),
        ("price:eu-1/node=2 USD per hour", "S021", "eu-1 has no pool 'node'"),
        ("price:eu-1/nodes=2 EUR per hour", "S006", "`EUR` is no currency"),
        ("count:eu-1/nodes=-3", "S007", "negative"),
        ("demand=1.5", "S021", "is no factor such as `x1.5`"),
        ("demand=x0", "S021", "is no factor"),
        ("mode=cheap", "S021", "'cheap' is no mode"),
        ("plan.whole=perhaps", "S021", "`yes` or `no`, not 'perhaps'"),
        ("plan.budget=12", "S006", "has no currency"),
        ("plan.budget=12 USD per run", "S006", "is an amount per run"),
        ("limits.budgt=3 USD per run", "S002", "unknown key `budgt`"),
        ("tasks.train.kind.x=3", "S021", "'kind' has no keys below it"),
        ("deadline=yesterday", "S006", "is no deadline"),
        ("tasks.trian.memory=2 GiB", "S021", "there is no task 'trian'"),
        ("pipeline=other", "S021", "keeps its name"),
    ],
)
def test_a_change_that_cannot_be_read_is_named(
    request_for: PlanRequest, change: str, code: str, part: str
) -> None:
    with pytest.raises(InvalidInputError) as raised:
        changed_request(request_for, [change])
    (fault,) = raised.value.faults
    assert fault.code == code
    assert part in fault.message


@pytest.mark.parametrize(
    ("change", "fix"),
    [
        ("cluster:eu-9=down", "name one that is there"),
        ("cluster:eu-1=sideways", "write `down` or `up`"),
        ("price:eu-1/node=2 USD per hour", "name one that is there"),
        ("demand=1.5", "write `x1.5`: x and a number above 0, at most 1000"),
        ("demand=x0", "write `x1.5`: x and a number above 0, at most 1000"),
        ("mode=cheap", "write `most-sla` or `least-cost`"),
        ("plan.whole=perhaps", "write `yes` or `no`"),
        ("tasks.train.kind.x=3", "end the key with 'kind', or name another"),
        ("tasks.trian.memory=2 GiB", "name one that is there"),
        ("pipeline=other", "leave this change out"),
    ],
)
def test_the_fix_of_a_change_is_about_what_is_wrong_with_it(
    request_for: PlanRequest, change: str, fix: str
) -> None:
    with pytest.raises(InvalidInputError) as raised:
        changed_request(request_for, [change])
    assert raised.value.faults[0].fix == fix


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ("price:eu-1/nodes=-2", "price:eu-1/nodes"),
        ("count:eu-1/nodes=few", "count:eu-1/nodes"),
        ("plan.budget=12", "plan.budget"),
        ("keep=7", "sla.keep"),
    ],
)
def test_a_value_that_cannot_be_read_has_its_place(
    request_for: PlanRequest, change: str, place: str
) -> None:
    with pytest.raises(InvalidInputError) as raised:
        changed_request(request_for, [change])
    assert raised.value.faults[0].path == place


def test_a_price_without_currency_is_named(request_for: PlanRequest) -> None:
    with pytest.raises(InvalidInputError) as raised:
        changed_request(request_for, ["price:eu-1=-2"])
    assert raised.value.faults[0].message.startswith("'-2' has no currency")


def test_all_changes_that_cannot_be_read_come_at_once(request_for: PlanRequest) -> None:
    with pytest.raises(InvalidInputError) as raised:
        changed_request(request_for, ["nonsense", "mode=cheap", "keep=0.9"])
    assert len(raised.value.faults) == 2


def test_a_misspelt_cluster_comes_with_those_alike(request_for: PlanRequest) -> None:
    with pytest.raises(InvalidInputError) as raised:
        changed_request(request_for, ["cluster:us-2=down"])
    assert "us-1" in raised.value.faults[0].candidates
