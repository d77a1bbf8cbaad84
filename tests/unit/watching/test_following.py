"""What was done is followed: one that changed nothing makes way for the next cause."""

from __future__ import annotations

import dataclasses

import pytest

from engine.model.alarms import (
    BACK,
    SINCE,
    Action,
    ActionKind,
    ActionState,
    Cause,
    CauseKind,
    SuperAlarmState,
)
from engine.model.checks import Checked, CheckKind, Verdict
from engine.model.dispatches import Deployment
from engine.model.identifiers import Digest, PipelineName, RunId, TaskName
from engine.model.records import DEPLOYMENTS, PIPELINES, SUPER_ALARMS, Delete, Put
from engine.model.specs import Scalar
from engine.testing.watch_suites import gauge
from engine.watching import resolve
from tests.support.watch_world import DATA, World, pipeline

DEPLOYED = dataclasses.replace(
    DATA,
    kind=CauseKind.CODE,
    subject="model:heart",
    title="a deployment just before",
    belief=0.5,
    settled=None,
    remedy=None,
)
AGED = dataclasses.replace(
    DATA, kind=CauseKind.MODEL, subject="model:heart", title="the model aged", settled=None
)
USUAL = (97.0, 98.0, 99.0, 98.0, 97.0, 99.0)
WORSE = (498.0, 499.0, 501.0, 500.0, 502.0, 500.0, 499.0)


def alarmed(world: World, cause: Cause = DEPLOYED) -> None:
    """Measure what is usual, then what is not, which opens a super-alarm."""
    world.causes.answer = (dataclasses.replace(cause, belief=0.5),)
    measured(world, *USUAL, *WORSE)


def measured(world: World, *values: float) -> None:
    for value in values:
        world.measure(value, gauge)


def done(world: World, kind: ActionKind = ActionKind.ROLL_BACK, **changes: object) -> Action:
    (group,) = world.groups()
    now = world.clock.now()
    action = Action(
        action_id="done",
        kind=kind,
        state=ActionState.DONE,
        super_alarm_id=group.super_alarm_id,
        subject="model:heart",
        policy="",
        wanted_at=now,
        ended_at=now,
        pipeline=PipelineName("heart"),
    )
    action = dataclasses.replace(action, **changes)
    world.put(action)
    return action


def serves(world: World, digest: str) -> None:
    deployment = Deployment(
        pipeline=PipelineName("heart"),
        task=TaskName("serve"),
        run_id=RunId("r-1"),
        wanted=Digest(digest),
    ).swapped(Digest(digest), world.clock.now())
    world.ledger.commit("test", [Put(DEPLOYMENTS, deployment)])


def checks(world: World) -> tuple[Checked, ...]:
    (group,) = world.groups()
    return group.checks


def test_a_roll_back_that_changed_nothing_denies_its_cause(world: World) -> None:
    alarmed(world)
    action = done(world)
    measured(world, *WORSE)
    (checked,) = checks(world)
    assert (checked.kind, checked.subject) == (CheckKind.ROLL_BACK, "model:heart")
    assert checked.verdict is Verdict.DENIES
    assert checked.message.startswith("latency ms p99 is 499")
    assert checked.message.endswith("and 98 before the trouble")
    assert action.ended_at is not None
    assert checked.at - action.ended_at == checked.took_seconds >= world.policy.decide_seconds


def test_then_the_next_cause_is_acted_upon(world: World) -> None:
    """Causes stand while the roll-back may still help, and are ranked anew when it did not."""
    alarmed(world)
    done(world)
    world.causes.answer = (AGED,)
    measured(world, *WORSE[:2])
    assert world.groups()[0].causes[0].kind is CauseKind.CODE
    assert not world.actions(ActionKind.RETRAIN)
    measured(world, *WORSE)
    assert world.groups()[0].causes == (AGED,)
    (retrain,) = world.actions(ActionKind.RETRAIN)
    assert retrain.state is ActionState.WANTED


def test_a_roll_back_that_helped_confirms_its_cause(world: World) -> None:
    alarmed(world)
    done(world)
    measured(world, *USUAL)
    world.causes.answer = (AGED,)
    measured(world, *USUAL)
    (checked,) = checks(world)
    assert checked.verdict is Verdict.CONFIRMS
    (group,) = world.groups()
    assert group.causes[0].kind is CauseKind.CODE
    assert group.causes[0].checked == checked
    assert not world.actions(ActionKind.RETRAIN)


def test_it_has_helped_only_when_nothing_is_abnormal(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Detectors take their time until they call a series normal again."""
    alarmed(world)
    done(world)
    series = {gauge(0.0, 0.0).series: world.clock.now()}
    with monkeypatch.context() as patched:
        patched.setattr(world.detector, "abnormal", lambda: series)
        measured(world, *USUAL)
        assert not checks(world)
    measured(world, USUAL[0])
    assert [one.verdict for one in checks(world)] == [Verdict.CONFIRMS]


def test_what_came_of_it_stands(world: World) -> None:
    alarmed(world)
    done(world)
    measured(world, *WORSE)
    before = checks(world)
    measured(world, *USUAL[:4])
    assert checks(world) == before


def test_what_helped_in_part_says_nothing(world: World) -> None:
    alarmed(world)
    done(world)
    measured(world, *(300.0 for _ in WORSE), *(300.0 for _ in WORSE))
    assert not checks(world)


@pytest.mark.parametrize(
    "changes",
    [
        {"state": ActionState.STARTED, "ended_at": None},
        {"state": ActionState.FAILED},
        {"kind": ActionKind.REPLAN},
        {"ended_at": None},
    ],
)
def test_only_what_is_done_and_may_show_is_followed(
    world: World, changes: dict[str, object]
) -> None:
    alarmed(world)
    done(world, **changes)
    measured(world, *WORSE)
    assert not checks(world)


def test_a_roll_back_has_as_long_as_the_trouble_took_to_show(world: World) -> None:
    """Labels that come late show a model's faults, and their end, as much later."""
    measured(world, *USUAL)
    alarmed(world)
    (group,) = world.groups()
    since: Scalar = group.opened_at - 8.0
    done(world, parameters={SINCE: since})
    measured(world, *WORSE)
    assert not checks(world)
    measured(world, *WORSE)
    assert [one.verdict for one in checks(world)] == [Verdict.DENIES]


class TestBeforeASuperAlarm:
    """A trouble that seemed over for a moment blames nothing that was undone already."""

    def again(self, world: World, **changes: object) -> tuple[Checked, ...]:
        """Roll back, let the super-alarm close at once, and the trouble go on as another one."""
        alarmed(world)
        (group,) = world.groups()
        parameters = {BACK: "sha256:1", SINCE: group.opened_at - 0.5}
        action = done(world, parameters=parameters)
        serves(world, "sha256:1")
        world.put(dataclasses.replace(action, **changes))
        resolve(world.ledger, world.clock, group.super_alarm_id, "a test")
        world.clock.advance(world.policy.join_seconds)
        world.causes.answer = (DEPLOYED,)
        measured(world, *WORSE)
        old, new = world.groups()
        assert (old.state, old.checks) == (SuperAlarmState.RESOLVED, ())
        return new.checks

    def test_it_knows_what_came_of_the_roll_back(self, world: World) -> None:
        world.grouper.pipelines = (PipelineName("heart"),)
        (checked,) = self.again(world)
        assert (checked.kind, checked.verdict) == (CheckKind.ROLL_BACK, Verdict.DENIES)

    @pytest.mark.parametrize(
        "changes",
        [
            {"parameters": {BACK: "sha256:2", SINCE: 1_000.0}},
            {"pipeline": PipelineName("other")},
            {"ended_at": None},
        ],
    )
    def test_not_of_one_that_something_else_followed(
        self, world: World, changes: dict[str, object]
    ) -> None:
        world.grouper.pipelines = (PipelineName("heart"),)
        assert not self.again(world, **changes)

    def test_not_of_one_that_is_long_ago(self, world: World) -> None:
        policy = dataclasses.replace(world.policy, look_back_seconds=100.0)
        world.policy = policy
        world.start()
        world.grouper.pipelines = (PipelineName("heart"),)
        assert not self.again(world)

    def test_not_of_another_pipeline(self, world: World) -> None:
        assert not self.again(world)

    def test_one_that_comes_again_knows_of_its_own(self, world: World) -> None:
        """A roll-back that seemed to help blames nothing any more when the trouble is back."""
        world.grouper.pipelines = (PipelineName("heart"),)
        alarmed(world)
        (group,) = world.groups()
        done(world, parameters={BACK: "sha256:1", SINCE: group.opened_at - 0.5})
        serves(world, "sha256:1")
        measured(world, *USUAL, *USUAL)
        assert [one.verdict for one in checks(world)] == [Verdict.CONFIRMS]
        assert world.groups()[0].state is SuperAlarmState.RESOLVED
        measured(world, *WORSE)
        assert [one.verdict for one in checks(world)] == [Verdict.DENIES]
        assert world.groups()[0].times == 2


class TestRetraining:
    def test_one_that_changed_nothing_denies_causes_of_data_and_model(self, world: World) -> None:
        world.ledger.commit("test", [Put(PIPELINES, pipeline(cool_down_seconds=10.0))])
        alarmed(world, AGED)
        done(world, ActionKind.RETRAIN)
        measured(world, *WORSE)
        assert not checks(world), "it has its cool-down to show"
        measured(world, *WORSE)
        (checked,) = checks(world)
        assert (checked.kind, checked.verdict) == (CheckKind.RETRAINING, Verdict.DENIES)

    @pytest.mark.parametrize("spec", [pipeline(), None])
    def test_without_a_policy_it_has_as_long_as_any_decision(
        self, world: World, spec: object
    ) -> None:
        if spec is None:
            world.ledger.commit("test", [Delete(PIPELINES, "heart")])
        else:
            bare = dataclasses.replace(pipeline(), retrain=None)
            world.ledger.commit("test", [Put(PIPELINES, bare)])
        alarmed(world, AGED)
        done(world, ActionKind.RETRAIN)
        measured(world, *WORSE)
        assert [one.verdict for one in checks(world)] == [Verdict.DENIES]


def test_a_super_alarm_that_changed_meanwhile_is_looked_at_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    alarmed(world)
    done(world)
    measured(world, *WORSE[:2])
    commit = world.ledger.commit

    def beaten(name: str, writes: object) -> None:
        if name == "watch.follow":
            monkeypatch.setattr(world.ledger, "commit", commit)
            stored = world.ledger.select(SUPER_ALARMS)[0]
            noted = dataclasses.replace(stored.value, note="seen")
            commit("test", [Put(SUPER_ALARMS, noted, stored.version)])
        commit(name, writes)

    monkeypatch.setattr(world.ledger, "commit", beaten)
    measured(world, *WORSE)
    (group,) = world.groups()
    assert group.note == "seen"
    assert [one.verdict for one in group.checks] == [Verdict.DENIES]
