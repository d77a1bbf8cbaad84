"""What Berth offers to do about a cause is what would answer it, and is asked for once."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest

from engine.model.alarms import (
    ActionKind,
    ActionState,
    Cause,
    CauseKind,
    Remedy,
    SuperAlarm,
    SuperAlarmState,
)
from engine.model.dispatches import Deployment
from engine.model.errors import NotFoundError, RefusedError
from engine.model.identifiers import Digest, PipelineName, RunId, TaskName
from engine.model.records import (
    ACTIONS,
    CLUSTER_HEALTH,
    DEPLOYMENTS,
    PIPELINES,
    SUPER_ALARMS,
    ClusterHealth,
    Put,
)
from engine.ports import Ledger
from engine.store import open_ledger
from engine.testing.clocks import ManualClock
from engine.testing.watch_suites import group
from engine.watching import ask, offered
from tests.support.watch_world import pipeline

REMEDY = Remedy(description="read it in the new unit", parameters={"etl.unit.chol": "mmol/L"})


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    opened = open_ledger("sqlite://")
    lost = ClusterHealth(cluster="c", reachable=False, since=1.0)
    opened.commit("test", [Put(CLUSTER_HEALTH, lost)])
    yield opened
    opened.close()


def caused(kind: CauseKind, subject: str, remedy: Remedy | None = None) -> SuperAlarm:
    cause = Cause(kind=kind, subject=subject, title="it", belief=0.9, remedy=remedy)
    return dataclasses.replace(group(name="SA-1"), causes=(cause,))


def served(ledger: Ledger, previous: str | None) -> None:
    deployment = Deployment(
        pipeline=PipelineName("heart"),
        task=TaskName("serve"),
        run_id=RunId("r-1"),
        wanted=Digest("sha256:2"),
        previous=None if previous is None else Digest(previous),
    )
    ledger.commit("test", [Put(DEPLOYMENTS, deployment)])


def test_a_lost_cluster_offers_a_plan_around_it(ledger: Ledger) -> None:
    kind = CauseKind.INFRASTRUCTURE
    assert offered(ledger, caused(kind, "cluster:c")) is ActionKind.REPLAN
    assert offered(ledger, caused(kind, "pod:c")) is None
    assert offered(ledger, caused(kind, "cluster:theirs")) is None


def test_data_and_models_offer_a_training_of_pipelines_that_are_known(ledger: Ledger) -> None:
    drifted = caused(CauseKind.DATA, "feature:heart/chol", REMEDY)
    assert offered(ledger, drifted) is None
    ledger.commit("test", [Put(PIPELINES, dataclasses.replace(pipeline(), name="heart"))])
    assert offered(ledger, drifted) is ActionKind.RETRAIN


def test_a_change_offers_the_model_before_where_there_is_one(ledger: Ledger) -> None:
    changed = caused(CauseKind.CODE, "model:heart")
    assert offered(ledger, changed) is None
    served(ledger, None)
    assert offered(ledger, changed) is None
    served(ledger, "sha256:1")
    assert offered(ledger, changed) is ActionKind.ROLL_BACK


def test_nothing_is_offered_without_a_cause_that_can_be_answered(ledger: Ledger) -> None:
    assert offered(ledger, group(name="SA-1")) is None
    assert offered(ledger, caused(CauseKind.DEMAND, "model:heart")) is None
    over = dataclasses.replace(
        caused(CauseKind.INFRASTRUCTURE, "cluster:c"), state=SuperAlarmState.RESOLVED
    )
    assert offered(ledger, over) is None


def test_it_is_asked_for_once_until_it_is_done(ledger: Ledger) -> None:
    lost, clock = caused(CauseKind.INFRASTRUCTURE, "cluster:c"), ManualClock(1_000.0)
    ledger.commit("test", [Put(SUPER_ALARMS, lost)])
    action = ask(ledger, clock, "SA-1", "ann")
    assert (action.kind, action.policy) == (ActionKind.REPLAN, "ann asked for it: it")
    with pytest.raises(RefusedError):
        ask(ledger, clock, "SA-1")
    done = dataclasses.replace(action, state=ActionState.DONE)
    ledger.commit("test", [Put(ACTIONS, done)])
    assert ask(ledger, clock, "SA-1").action_id == "SA-1.re-plan.by-hand.2"


def test_a_training_takes_the_remedy_with_it(ledger: Ledger) -> None:
    ledger.commit("test", [Put(PIPELINES, dataclasses.replace(pipeline(), name="heart"))])
    drifted = caused(CauseKind.DATA, "feature:heart/chol", REMEDY)
    ledger.commit("test", [Put(SUPER_ALARMS, drifted)])
    action = ask(ledger, ManualClock(1_000.0), "SA-1")
    assert (action.pipeline, dict(action.parameters)) == ("heart", dict(REMEDY.parameters))


def test_a_super_alarm_that_is_not_there_is_named(ledger: Ledger) -> None:
    with pytest.raises(NotFoundError):
        ask(ledger, ManualClock(1_000.0), "SA-9")
