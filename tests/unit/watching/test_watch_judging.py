"""Super-alarms open, grow, are explained, wake and close."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import pytest

from engine.model import deciding
from engine.model.alarms import Action, ActionKind, ActionState, Event, SuperAlarmState
from engine.model.errors import ConflictError, NotFoundError, RefusedError
from engine.model.identifiers import SuperAlarmId
from engine.model.records import EVENTS, Put, Write
from engine.model.signals import Signal
from engine.testing.watch_suites import gauge
from engine.watching import acknowledge, resolve, silence
from tests.support.watch_world import DATA, LOST, OneGroup, World


def test_an_alarm_opens_a_group_with_causes(world: World) -> None:
    world.measure(500.0, gauge)
    (group,) = world.groups()
    assert group.causes == (DATA,)


def test_alarms_join_what_is_open(world: World) -> None:
    world.measure(500.0, gauge)
    world.measure(600.0, gauge)
    (group,) = world.groups()
    assert len(group.alarms) == 2


def test_an_alarm_joins_once_after_a_restart(world: World) -> None:
    world.measure(500.0, gauge)
    world.start()
    world.measure(1.0, gauge)
    assert [len(group.alarms) for group in world.groups()] == [1]


def test_an_alarm_whose_signal_comes_late_opens_a_group(world: World) -> None:
    late = 2 * world.policy.join_seconds
    world.measure(500.0, lambda now, value: gauge(now - late, value))
    raised = world.clock.now()
    world.start()
    world.measure(1.0, elsewhere)
    (group,) = world.groups()
    (alarm,) = group.alarms
    assert (alarm.at, alarm.raised_at) == (raised - late, raised)
    assert group.state is SuperAlarmState.OPEN


def elsewhere(at: float, value: float) -> Signal:
    """Return a value of another series."""
    return dataclasses.replace(gauge(at, value), subject="cluster:other")


def changed(world: World) -> None:
    """Let something be noted that may be a cause."""
    event = Event(event_id="e", at=1_000.5, kind="deployment", subject="model:p", message="new")
    world.ledger.commit("test", [Put(EVENTS, event)])
    world.watcher.step()


def measured_elsewhere(world: World) -> None:
    world.measure(1.0, elsewhere)


news = pytest.mark.parametrize("news", [changed, measured_elsewhere])


@news
def test_causes_that_changed_are_stored(world: World, news: Callable[[World], None]) -> None:
    world.causes.answer = (dataclasses.replace(LOST, belief=0.3),)
    world.measure(500.0, gauge)
    world.causes.answer = (dataclasses.replace(LOST, belief=0.5),)
    news(world)
    assert world.groups()[0].causes[0].belief == 0.5


def test_people_are_told_when_a_cause_falls_below_what_acting_needs(world: World) -> None:
    world.causes.answer = (dataclasses.replace(LOST, belief=0.7, settled=None),)
    world.measure(500.0, gauge)
    assert not deciding.undecided(world.notifier.told[-1])
    world.causes.answer = (dataclasses.replace(LOST, belief=0.5, settled=None),)
    told = len(world.notifier.told)
    measured_elsewhere(world)
    assert deciding.undecided(world.notifier.told[-1]) == "the belief in it, 0.50, is below 0.6"
    assert len(world.notifier.told) == told + 1
    world.watcher.step()
    assert len(world.notifier.told) == told + 1


def test_causes_are_looked_for_again_only_when_something_is_new(world: World) -> None:
    world.measure(500.0, gauge)
    looked = world.causes.looks
    world.watcher.step()
    assert world.causes.looks == looked


def test_another_cause_is_stored(world: World) -> None:
    world.causes.answer = (dataclasses.replace(LOST, belief=0.3),)
    world.measure(500.0, gauge)
    world.causes.answer = (dataclasses.replace(DATA, belief=0.3),)
    measured_elsewhere(world)
    assert world.groups()[0].causes[0].subject == DATA.subject


@pytest.mark.parametrize("belief", [0.31, 0.3])
def test_causes_that_say_the_same_are_not_written_again(world: World, belief: float) -> None:
    world.causes.answer = (dataclasses.replace(LOST, belief=0.3),)
    world.measure(500.0, gauge)
    world.causes.answer = (dataclasses.replace(LOST, belief=belief, evidence_for=("more",)),)
    before = world.groups()
    measured_elsewhere(world)
    assert world.groups() == before


def test_a_remedy_under_way_keeps_its_cause(world: World) -> None:
    world.measure(500.0, gauge)
    world.causes.answer = (LOST,)
    world.measure(600.0, gauge)
    assert world.groups()[0].causes == (DATA,)


@pytest.mark.parametrize(
    ("state", "stands"), [(ActionState.STARTED, False), (ActionState.DONE, True)]
)
def test_a_roll_back_keeps_its_cause_once_it_is_done(
    world: World, state: ActionState, stands: bool
) -> None:
    """A lost cluster lets none be done, and is to be seen as the cause meanwhile."""
    world.causes.answer = (dataclasses.replace(DATA, belief=0.1),)
    world.measure(500.0, gauge)
    (before,) = world.groups()
    world.put(
        Action(
            action_id="back",
            kind=ActionKind.ROLL_BACK,
            state=state,
            super_alarm_id=before.super_alarm_id,
            subject="model:heart",
            policy="",
            wanted_at=world.clock.now(),
        )
    )
    world.causes.answer = (LOST,)
    world.measure(600.0, gauge)
    assert (world.groups()[0].causes == before.causes) == stands


def test_causes_are_looked_for_in_what_changed_before(world: World) -> None:
    event = Event(event_id="e", at=500.0, kind="deployment", subject="model:p", message="new")
    world.ledger.commit("test", [Put(EVENTS, event)])
    world.measure(500.0, gauge)
    assert list(world.causes.events) == [event]


def test_a_group_closes_when_all_is_normal_for_a_while(world: World) -> None:
    world.causes.answer = (dataclasses.replace(DATA, belief=0.2),)
    world.measure(500.0, gauge)
    for _ in range(3):
        world.measure(1.0, gauge)
    assert world.groups()[0].state is SuperAlarmState.OPEN
    for _ in range(3):
        world.measure(1.0, gauge)
    assert world.groups()[0].state is SuperAlarmState.RESOLVED


def test_a_group_stays_open_while_its_remedy_is_under_way(world: World) -> None:
    world.measure(500.0, gauge)
    for _ in range(10):
        world.measure(1.0, gauge)
    assert world.groups()[0].state is SuperAlarmState.OPEN
    (action,) = world.actions(ActionKind.RETRAIN)
    world.put(dataclasses.replace(action, state=ActionState.DONE, ended_at=world.clock.now()))
    world.measure(1.0, gauge)
    assert world.groups()[0].state is SuperAlarmState.RESOLVED


def test_what_alarms_long_after_the_end_is_a_new_group(world: World) -> None:
    world.causes.answer = (dataclasses.replace(DATA, belief=0.2),)
    world.measure(500.0, gauge)
    for _ in range(7):
        world.measure(1.0, gauge)
    world.clock.advance(world.policy.flap_seconds)
    world.measure(500.0, gauge)
    states = [group.state for group in world.groups()]
    assert states == [SuperAlarmState.RESOLVED, SuperAlarmState.OPEN]


def test_a_silenced_group_is_quiet_and_wakes(world: World) -> None:
    world.measure(500.0, gauge)
    (group,) = world.groups()
    silence(world.ledger, world.clock, group.super_alarm_id, 10.0, "known")
    told = len(world.notifier.told)
    world.measure(600.0, gauge)
    assert len(world.notifier.told) == told
    world.clock.advance(10.0)
    world.watcher.step()
    assert world.groups()[0].state is SuperAlarmState.OPEN
    assert world.groups()[0].note == "silenced: known"


def test_somebody_takes_a_group(world: World) -> None:
    world.measure(500.0, gauge)
    (group,) = world.groups()
    acknowledge(world.ledger, world.clock, group.super_alarm_id, who="ann")
    (taken,) = world.groups()
    assert (taken.state, taken.note) == (SuperAlarmState.ACKNOWLEDGED, "taken by ann")
    (event,) = world.ledger.select(EVENTS, where={"kind": "person"})
    assert event.value.message == "ann took it"


def test_notes_are_kept_in_order(world: World) -> None:
    world.measure(500.0, gauge)
    (group,) = world.groups()
    acknowledge(world.ledger, world.clock, group.super_alarm_id, who="ann")
    resolve(world.ledger, world.clock, group.super_alarm_id, "a test")
    assert world.groups()[0].note == "taken by ann; closed: a test"


def test_a_closed_group_cannot_be_closed_again(world: World) -> None:
    world.measure(500.0, gauge)
    (group,) = world.groups()
    resolve(world.ledger, world.clock, group.super_alarm_id, "a test")
    with pytest.raises(RefusedError, match="is closed"):
        resolve(world.ledger, world.clock, group.super_alarm_id, "again")


def test_an_unknown_group_is_not_found(world: World) -> None:
    with pytest.raises(NotFoundError, match="SA-none"):
        acknowledge(world.ledger, world.clock, "SA-none")


@pytest.mark.parametrize(("seconds", "because"), [(0.0, "why"), (5.0, " ")])
def test_a_silence_needs_a_time_and_a_reason(world: World, seconds: float, because: str) -> None:
    with pytest.raises(RefusedError):
        silence(world.ledger, world.clock, "SA-1", seconds, because)


def test_people_win_over_the_loop_in_the_end(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.measure(500.0, gauge)
    (group,) = world.groups()
    commit, lost = world.ledger.commit, [1, 2]

    def busy(name: str, writes: Sequence[Write]) -> None:
        if lost:
            lost.pop()
            raise ConflictError("the loop was faster")
        commit(name, writes)

    monkeypatch.setattr(world.ledger, "commit", busy)
    acknowledge(world.ledger, world.clock, group.super_alarm_id)
    assert world.groups()[0].state is SuperAlarmState.ACKNOWLEDGED


def test_people_are_told_when_they_never_win(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.measure(500.0, gauge)
    (group,) = world.groups()

    def busy(name: str, writes: object) -> None:
        raise ConflictError("the loop was faster")

    monkeypatch.setattr(world.ledger, "commit", busy)
    with pytest.raises(ConflictError, match="10 times"):
        acknowledge(world.ledger, world.clock, group.super_alarm_id)


def test_a_group_closed_by_the_grouper_stays_closed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.measure(500.0, gauge)
    (group,) = world.groups()
    merged = dataclasses.replace(group, state=SuperAlarmState.RESOLVED, note="merged into SA-0")
    monkeypatch.setattr(OneGroup, "group", lambda *_: [merged])
    world.measure(600.0, gauge)
    assert world.groups() == [merged]


def test_actions_of_other_groups_do_not_matter(world: World) -> None:
    world.causes.answer = (dataclasses.replace(DATA, belief=0.2),)
    world.measure(500.0, gauge)
    other = Action(
        action_id="other",
        kind=ActionKind.RETRAIN,
        state=ActionState.STARTED,
        super_alarm_id=SuperAlarmId("SA-x"),
        subject="s",
        policy="p",
        wanted_at=world.clock.now(),
    )
    world.put(other)
    for _ in range(7):
        world.measure(1.0, gauge)
    assert world.groups()[0].state is SuperAlarmState.RESOLVED
