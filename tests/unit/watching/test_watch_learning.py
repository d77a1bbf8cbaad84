"""What is over is told to those who learn, and trainings to those who watch for drift."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import pytest

from engine.model.alarms import (
    Action,
    ActionKind,
    ActionState,
    Cause,
    CauseKind,
    Coming,
    Drift,
    Guard,
    SuperAlarm,
    SuperAlarmState,
)
from engine.model.checks import CheckKind
from engine.model.checks import Verdict as Outcome
from engine.model.feedback import CheckFeedback, Feedback, Verdict
from engine.model.identifiers import PipelineName, RunId, SuperAlarmId
from engine.model.records import CHECK_FEEDBACK, SUPER_ALARMS, Put
from engine.testing.watch_suites import gauge, group
from engine.watching.desk import Desk
from engine.watching.learning import Learning
from tests.support.watch_world import DATA, OneGroup, ScriptedCauses, ScriptedDetector, World


class LearningGroups(OneGroup):
    """A grouper that remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.verdicts: dict[str, bool] = {}

    def learn(self, past: Sequence[SuperAlarm], verdicts: Mapping[str, bool]) -> None:
        self.verdicts = {**self.verdicts, **verdicts}
        self.told += [group.coming_id for group in past]


class LearningCauses(ScriptedCauses, LearningGroups):
    """A cause finder that remembers what it was told."""

    def __init__(self) -> None:
        ScriptedCauses.__init__(self)
        LearningGroups.__init__(self)


class DriftingDetector(ScriptedDetector):
    """A detector that knows of drift what a test says."""

    def __init__(self, known: Drift | None) -> None:
        super().__init__()
        self.known = known
        self.told: list[tuple[str, float]] = []

    def drifts(self, pipeline: PipelineName) -> Drift | None:
        del pipeline
        return self.known

    def trained(self, pipeline: PipelineName, at: float) -> None:
        self.told.append((pipeline, at))


def over(name: str, at: float) -> SuperAlarm:
    return dataclasses.replace(group(name=name), state=SuperAlarmState.RESOLVED, updated_at=at)


def test_the_past_is_told_once_and_what_ends_later_to_cause_finders(world: World) -> None:
    grouper, causes = LearningGroups(), LearningCauses()
    world.grouper, world.causes = grouper, causes
    world.ledger.commit("test", [Put(SUPER_ALARMS, over(f"SA-{n}", n)) for n in (2.0, 1.0)])
    world.start()
    world.watcher.step()
    world.ledger.commit("test", [Put(SUPER_ALARMS, over("SA-later", 9.0))])
    world.watcher.step()
    assert grouper.told == ["SA-1.0", "SA-2.0"]
    assert causes.told == ["SA-1.0", "SA-2.0", "SA-later"]


def test_a_verdict_that_comes_later_is_told_once(world: World) -> None:
    causes = LearningCauses()
    said: list[Feedback] = []
    desk = Desk(world.ledger, world.clock, world.policy, world.watcher.term)
    world.ledger.commit("test", [Put(SUPER_ALARMS, over("SA-1", 1.0))])
    learning = Learning(
        desk, OneGroup(), causes, lambda since: [one for one in said if one.at > since]
    )
    learning.step()
    said += [judged("SA-1", Verdict.WRONG), judged("SA-gone", Verdict.RIGHT)]
    learning.step()
    learning.step()
    assert causes.told == ["SA-1", "SA-1"]
    assert causes.verdicts["SA-1"] is False


@pytest.mark.parametrize("state", [SuperAlarmState.RESOLVED, SuperAlarmState.OPEN])
def test_after_a_start_every_time_that_one_came_is_told_with_its_own_verdict(
    world: World, state: SuperAlarmState
) -> None:
    """One that is open is not over; its earlier times are."""
    causes = LearningCauses()
    desk = Desk(world.ledger, world.clock, world.policy, world.watcher.term)
    again = dataclasses.replace(
        over("SA-1", 9.0), state=state, times=3, earlier=(came(1.0, DATA), came(6.0, None))
    )
    world.ledger.commit("test", [Put(SUPER_ALARMS, each) for each in (again, over("SA-2", 2.0))])
    said = [judged("SA-1", Verdict.RIGHT), judged("SA-1", Verdict.WRONG, times=2)]
    grouper = LearningGroups()
    learning = Learning(desk, grouper, causes, lambda since: said if since < 5.0 else [])
    learning.step()
    learning.step()
    told = ["SA-1", "SA-2", "SA-1.2", "SA-1.3"][: 4 if state is SuperAlarmState.RESOLVED else 3]
    assert causes.told == grouper.told == told
    assert causes.verdicts == {"SA-1": True, "SA-1.2": False}


def came(at: float, likely: Cause | None) -> Coming:
    return Coming(opened_at=at - 1.0, ended_at=at, count=1, alarms=(), likely=likely)


def judged(name: str, verdict: Verdict, times: int = 1) -> Feedback:
    return Feedback(
        super_alarm_id=SuperAlarmId(name),
        at=5.0,
        verdict=verdict,
        who="ann",
        kind=CauseKind.DATA,
        subject="model:heart",
        belief=0.9,
        times=times,
    )


class CheckingCauses(LearningCauses):
    """A cause finder that remembers what it was told of checks."""

    def __init__(self) -> None:
        super().__init__()
        self.checks: list[str] = []

    def learn_checks(self, given: Sequence[CheckFeedback]) -> None:
        self.checks += [one.who for one in given]


def on_a_check(who: str, at: float) -> Put[CheckFeedback]:
    given = CheckFeedback(
        super_alarm_id=SuperAlarmId(f"SA-{who}"),
        at=at,
        verdict=Verdict.WRONG,
        who=who,
        check=CheckKind.ROWS,
        subject="task:p/etl",
        said=Outcome.CONFIRMS,
        cause=CauseKind.DATA,
    )
    return Put(CHECK_FEEDBACK, given)


def test_what_is_said_of_checks_is_told_after_a_start_and_then_once(world: World) -> None:
    causes = CheckingCauses()
    desk = Desk(world.ledger, world.clock, world.policy, world.watcher.term)
    world.ledger.commit("test", [on_a_check("bob", 2.0), on_a_check("ann", 1.0)])
    learning = Learning(desk, OneGroup(), causes)
    learning.step()
    learning.step()
    assert causes.checks == ["ann", "bob"]
    world.ledger.commit("test", [on_a_check("cid", 3.0)])
    learning.step()
    assert causes.checks == ["ann", "bob", "cid"]


def done(**changes: object) -> Action:
    action = Action(
        action_id="past",
        kind=ActionKind.RETRAIN,
        state=ActionState.DONE,
        super_alarm_id=SuperAlarmId("SA-old"),
        subject="model:heart",
        policy="",
        wanted_at=1.0,
        ended_at=2.0,
        pipeline=PipelineName("heart"),
        run_id=RunId("r-1"),
    )
    return dataclasses.replace(action, **changes)


@pytest.mark.parametrize(
    ("action", "told"),
    [
        (done(), [("heart", 2.0)]),
        (done(run_id=None), []),
        (done(state=ActionState.FAILED), []),
    ],
)
def test_trainings_that_ended_well_are_told_once(
    world: World, action: Action, told: list[object]
) -> None:
    detector = DriftingDetector(None)
    world.start(detector)
    world.put(action)
    world.watcher.step()
    world.watcher.step()
    assert detector.told == told


@pytest.mark.parametrize(
    ("known", "settled", "state"),
    [
        (Drift(is_found=True, message="drift"), None, ActionState.WANTED),
        (Drift(is_found=False), None, ActionState.HELD),
        (Drift(is_found=False), True, ActionState.WANTED),
        (None, None, ActionState.WANTED),
    ],
)
def test_a_training_needs_a_drift_or_a_settled_cause(
    world: World, known: Drift | None, settled: bool | None, state: ActionState
) -> None:
    world.start(DriftingDetector(known))
    world.causes.answer = (dataclasses.replace(DATA, settled=settled),)
    for _ in range(6):
        world.measure(200.0, gauge)
    (action,) = world.actions(ActionKind.RETRAIN)
    assert action.state is state
    assert ("drift" in action.result) is (state is ActionState.HELD)


def test_what_was_held_back_to_its_end_is_no_training_of_the_day(world: World) -> None:
    held = Guard(name="drift", allows=False, needs="", has="")
    for number in range(5):
        world.put(done(action_id=f"held-{number}", run_id=None, guards=(held,)))
    world.measure(200.0, gauge)
    (action,) = [a for a in world.actions(ActionKind.RETRAIN) if "held" not in a.action_id]
    assert action.state is ActionState.WANTED
