"""What runs now is what a new plan has to go around."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.dispatching import submit
from engine.model.dispatches import Run, TaskState
from engine.model.fleet import Fleet
from engine.model.plans import Plan, PlanRequest, Reservation
from engine.model.profiles import RunRecord
from engine.model.records import (
    ATTEMPTS,
    CLUSTER_HEALTH,
    DEPLOYMENTS,
    PLANS,
    RUN_RECORDS,
    ClusterHealth,
    Delete,
)
from engine.model.resources import Resources
from engine.planning import (
    Planner,
    current_fleet,
    history,
    running_reservations,
    standing_servers,
)
from engine.ports import Ledger
from engine.testing import samples
from engine.testing.clocks import ManualClock
from tests.support.planning import NOW, live_attempt, put, serving, set_task


@pytest.fixture
def plan(planner: Planner, request_for: PlanRequest) -> Plan:
    return planner.plan(request_for, [])


@pytest.fixture
def run(ledger: Ledger, clock: ManualClock, plan: Plan) -> Run:
    return submit(ledger, clock, plan, "heart")


def held_by(reservations: tuple[Reservation, ...], holder: str) -> Reservation:
    (found,) = [item for item in reservations if item.holder == holder]
    return found


def test_the_history_is_oldest_first(ledger: Ledger, record: RunRecord) -> None:
    later = replace(record, ended_at=950.0)
    put(ledger, (RUN_RECORDS, later), (RUN_RECORDS, record))
    assert history(ledger) == (record, later)


def test_a_cluster_answers_when_source_and_store_say_so(
    ledger: Ledger, source: samples.FixedFleet
) -> None:
    source.down.add("eu-1")
    put(ledger, (CLUSTER_HEALTH, ClusterHealth(cluster="eu-2", reachable=False, since=NOW)))
    put(ledger, (CLUSTER_HEALTH, ClusterHealth(cluster="us-1", reachable=True, since=NOW)))
    fleet = current_fleet(ledger, source)
    assert [cluster.reachable for cluster in fleet.clusters] == [False, False, True]


def test_nothing_is_held_when_nothing_runs(ledger: Ledger) -> None:
    assert running_reservations(ledger, NOW) == ()


def test_what_others_hold_of_a_pool_is_reserved_without_an_end(ledger: Ledger) -> None:
    cluster = samples.fleet("eu-1").clusters[0]
    taken = Resources(cpu_cores=3.0)
    pools = (
        replace(cluster.pools[0], taken=taken),
        replace(cluster.pools[0], taken=Resources()),
        cluster.pools[0],
    )
    fleet = Fleet(clusters=(replace(cluster, pools=pools),))
    found = held_by(running_reservations(ledger, NOW, fleet=fleet), "other work")
    assert (found.cluster, found.held, found.to_seconds) == ("eu-1", taken, None)


def test_tasks_to_come_hold_their_planned_time(ledger: Ledger, run: Run) -> None:
    found = held_by(running_reservations(ledger, NOW), "heart/train")
    assert (found.cluster, found.from_seconds, found.to_seconds) == ("eu-1", NOW, NOW + 16)
    assert run.run_id == "r-1"


def test_what_is_held_carries_its_labels(
    ledger: Ledger, clock: ManualClock, planner: Planner, request_for: PlanRequest
) -> None:
    (spec,) = request_for.pipelines
    tasks = tuple(replace(t, labels={"app": "x"}) if t.name == "train" else t for t in spec.tasks)
    labelled = replace(request_for, pipelines=(replace(spec, tasks=tasks),))
    submit(ledger, clock, planner.plan(labelled, []), "heart")
    found = running_reservations(ledger, NOW)
    assert held_by(found, "heart/train").labels == {"app": "x"}
    assert held_by(found, "heart/etl").labels == {}


def test_late_tasks_hold_their_time_from_now_on(ledger: Ledger, run: Run) -> None:
    found = held_by(running_reservations(ledger, NOW + 100), "heart/train")
    assert (found.from_seconds, found.to_seconds) == (NOW + 100, NOW + 116)
    assert run.run_id == "r-1"


def test_serving_is_held_without_end(ledger: Ledger, run: Run) -> None:
    found = held_by(running_reservations(ledger, NOW), "heart/serve")
    assert found.to_seconds is None
    assert run.run_id == "r-1"


def test_what_runs_is_held_where_it_is(ledger: Ledger, run: Run) -> None:
    set_task(ledger, run.run_id, "etl", TaskState.RUNNING, "us-1")
    put(ledger, (ATTEMPTS, live_attempt(run.run_id, "etl", "us-1")))
    found = held_by(running_reservations(ledger, NOW + 5), "heart/etl")
    assert (found.cluster, found.from_seconds, found.to_seconds) == ("us-1", NOW, NOW + 16)


def test_what_runs_too_long_is_held_until_now(ledger: Ledger, run: Run) -> None:
    set_task(ledger, run.run_id, "etl", TaskState.RUNNING, "us-1")
    attempt = replace(live_attempt(run.run_id, "etl", "us-1"), started_at=None)
    put(ledger, (ATTEMPTS, attempt))
    found = held_by(running_reservations(ledger, NOW + 500), "heart/etl")
    assert found.to_seconds == NOW + 500


def test_what_runs_without_a_plan_is_held_without_end(ledger: Ledger, run: Run) -> None:
    set_task(ledger, run.run_id, "etl", TaskState.RUNNING, "us-1")
    put(ledger, (ATTEMPTS, live_attempt(run.run_id, "etl", "us-1")))
    ledger.commit("test", [Delete(PLANS, run.plan_id)])
    (found,) = running_reservations(ledger, NOW)
    assert (found.holder, found.to_seconds) == ("heart/etl", None)


def test_what_has_ended_holds_nothing(ledger: Ledger, run: Run) -> None:
    set_task(ledger, run.run_id, "etl", TaskState.SUCCEEDED)
    holders = {item.holder for item in running_reservations(ledger, NOW)}
    assert holders == {"heart/train", "heart/package", "heart/serve"}


def test_a_run_that_is_planned_anew_holds_nothing(ledger: Ledger, run: Run) -> None:
    assert running_reservations(ledger, NOW, without_runs=[run.run_id]) == ()


def test_a_server_that_is_planned_anew_is_not_counted_twice(ledger: Ledger, run: Run) -> None:
    found = running_reservations(ledger, NOW, serving_planned=["heart"])
    assert "heart/serve" not in {item.holder for item in found}
    assert run.run_id == "r-1"


def taken_over(ledger: Ledger, run: Run, newer: Run) -> None:
    """Let a newer run take the server of a run over."""
    serving(ledger, run.run_id, "us-1")
    set_task(ledger, run.run_id, "serve", TaskState.SUCCEEDED, "us-1")
    set_task(ledger, newer.run_id, "serve", TaskState.RUNNING, "us-1")
    stored = ledger.get(DEPLOYMENTS, "heart")
    assert stored is not None
    put(ledger, (DEPLOYMENTS, replace(stored.value, run_id=newer.run_id)))


def test_a_server_that_a_newer_run_took_over_stands_too(
    ledger: Ledger, clock: ManualClock, run: Run, plan: Plan, source: samples.FixedFleet
) -> None:
    taken_over(ledger, run, submit(ledger, clock, plan, "heart"))
    (found,) = standing_servers(ledger, source.fleet(), ["heart"])
    assert (found.task, found.cluster) == ("serve", "us-1")


def test_a_server_that_was_taken_over_is_held_where_it_is(
    ledger: Ledger, clock: ManualClock, run: Run, plan: Plan
) -> None:
    taken_over(ledger, run, submit(ledger, clock, plan, "heart"))
    found = running_reservations(ledger, NOW, without_runs=[run.run_id])
    assert held_by(found, "heart/serve").cluster == "us-1"


def test_a_server_that_is_lost_does_not_stand(
    ledger: Ledger, run: Run, source: samples.FixedFleet
) -> None:
    serving(ledger, run.run_id, "us-1")
    ledger.commit("test", [Delete(ATTEMPTS, live_attempt(run.run_id, "serve", "us-1").attempt_id)])
    assert standing_servers(ledger, source.fleet(), ["heart"]) == ()
    assert held_by(running_reservations(ledger, NOW), "heart/serve").cluster != "us-1"


def test_a_server_that_is_up_stands_where_it_is(
    ledger: Ledger, run: Run, source: samples.FixedFleet
) -> None:
    serving(ledger, run.run_id, "us-1")
    (found,) = standing_servers(ledger, source.fleet(), ["heart"])
    assert (found.task, found.cluster) == ("serve", "us-1")
    assert standing_servers(ledger, source.fleet(), ["other"]) == ()


def test_a_server_on_a_lost_cluster_does_not_stand(
    ledger: Ledger, run: Run, source: samples.FixedFleet
) -> None:
    serving(ledger, run.run_id, "us-1")
    source.down.add("us-1")
    assert standing_servers(ledger, source.fleet(), ["heart"]) == ()


def test_a_server_without_a_plan_does_not_stand(
    ledger: Ledger, run: Run, source: samples.FixedFleet
) -> None:
    serving(ledger, run.run_id, "us-1")
    ledger.commit("test", [Delete(PLANS, run.plan_id)])
    assert standing_servers(ledger, source.fleet(), ["heart"]) == ()
