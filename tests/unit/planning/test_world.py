"""Before a plan is applied, the world is compared with the one it was made for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from engine.model.fleet import Cluster, Fleet, Pool
from engine.model.identifiers import ClusterName, MicroDollars
from engine.model.plans import Plan, PlanRequest, Reservation
from engine.model.resources import Resources
from engine.planning import Planner, changed_since
from engine.testing import samples
from tests.support.planning import NOW


@pytest.fixture
def plan(planner: Planner, request_for: PlanRequest) -> Plan:
    return planner.plan(request_for, [])


def with_pool(plan: Plan, **changes: object) -> Fleet:
    """Return the plan's fleet with the pool of its first cluster changed."""
    first, *others = plan.request.fleet.clusters
    pool: Pool = replace(first.pools[0], **changes)
    return Fleet(clusters=(replace(first, pools=(pool,)), *others))


def with_first(plan: Plan, change: Callable[[Cluster], Cluster]) -> Fleet:
    first, *others = plan.request.fleet.clusters
    return Fleet(clusters=(change(first), *others))


def reservation(memory_gib: float, *, holder: str = "other/train") -> Reservation:
    return Reservation(
        cluster=ClusterName("eu-1"),
        pool=samples.POOL,
        holder=holder,
        held=Resources(memory_gib=memory_gib),
        from_seconds=NOW,
        to_seconds=NOW + 60,
    )


def test_the_same_world_breaks_nothing(plan: Plan) -> None:
    assert changed_since(plan, plan.request.fleet, []) == ()


def test_what_happens_elsewhere_breaks_nothing(plan: Plan) -> None:
    fleet = Fleet(clusters=plan.request.fleet.clusters[:1])
    assert changed_since(plan, fleet, []) == ()


def test_a_cluster_that_does_not_answer_is_named(plan: Plan) -> None:
    fleet = with_first(plan, lambda cluster: replace(cluster, reachable=False))
    assert changed_since(plan, fleet, []) == ("cluster eu-1 does not answer",)


def test_a_cluster_that_is_gone_is_named(plan: Plan) -> None:
    fleet = Fleet(clusters=plan.request.fleet.clusters[1:])
    assert changed_since(plan, fleet, []) == ("cluster eu-1 is no longer in the fleet",)


def test_a_pool_that_is_gone_is_named(plan: Plan) -> None:
    fleet = with_first(plan, lambda cluster: replace(cluster, pools=()))
    assert changed_since(plan, fleet, []) == ("pool eu-1/nodes is gone",)


def test_other_machines_are_named(plan: Plan) -> None:
    shape = replace(plan.request.fleet.clusters[0].pools[0].shape, machine="tiny")
    assert changed_since(plan, with_pool(plan, shape=shape), []) == (
        "machines of eu-1/nodes changed from small to tiny",
    )


def test_fewer_nodes_and_another_price_are_named(plan: Plan) -> None:
    fleet = with_pool(plan, node_count=3, price_micro_dollars_per_hour=MicroDollars(200_000))
    assert changed_since(plan, fleet, []) == (
        "eu-1/nodes has 3 nodes, not 4 any more",
        "eu-1/nodes costs 0.2 USD/h, not 0.1 any more",
    )


def test_a_newcomer_that_leaves_too_little_is_named(plan: Plan) -> None:
    assert changed_since(plan, plan.request.fleet, [reservation(13.0)]) == (
        "eu-1/nodes lacks memory for the plan since other/train came",
    )


def test_a_newcomer_that_leaves_enough_breaks_nothing(plan: Plan) -> None:
    assert changed_since(plan, plan.request.fleet, [reservation(12.0)]) == ()


def test_what_the_plan_knew_of_breaks_nothing(plan: Plan) -> None:
    known = replace(plan.request, reservations=(reservation(13.0),))
    running = [reservation(13.0)]
    assert changed_since(replace(plan, request=known), plan.request.fleet, running) == ()


def test_an_empty_plan_cannot_be_broken(plan: Plan) -> None:
    empty = replace(plan, placement=replace(plan.placement, assignments=()))
    assert changed_since(empty, Fleet(clusters=()), [reservation(13.0)]) == ()
