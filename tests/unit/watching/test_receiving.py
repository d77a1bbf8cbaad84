"""Alerts of other systems become alarms, from every sender its share."""

from __future__ import annotations

import dataclasses

import pytest

from engine.model.alarms import Alarm, SuperAlarmState
from engine.model.intake import Firing, FiringState, Sender
from engine.model.records import ALARMS, FIRINGS, FOLDINGS, SENDERS, Put
from engine.testing.watch_suites import alarm as sample_alarm
from engine.watching import flooding, receiving, returning
from tests.support.watch_world import LOST, World


def firing(name: str, world: World, sender: str = "prom", **changes: object) -> Firing:
    now = world.clock.now()
    made = Firing(
        firing_id=f"{sender}/{name}",
        sender=sender,
        alarm=sample_alarm(f"A-{sender}-{name}", now),
        state=FiringState.WAITING,
        starts_at=now,
        received_at=now,
        expires_at=now + 100.0,
    )
    return dataclasses.replace(made, **changes)


def send(world: World, *firings: Firing) -> None:
    senders = {one.sender for one in firings}
    world.ledger.commit(
        "test",
        [
            *(Put(FIRINGS, one) for one in firings),
            *(Put(SENDERS, Sender(name=name, received_at=0.0)) for name in senders),
        ],
    )


@pytest.fixture(autouse=True)
def no_action(world: World) -> None:
    """Let no cause lead to an action, which would keep super-alarms open."""
    world.causes.answer = (dataclasses.replace(LOST, belief=0.3),)


def rest(world: World) -> None:
    for _ in range(50):
        if not world.watcher.step():
            return


def stored(world: World, firing_id: str) -> Firing:
    found = world.ledger.get(FIRINGS, firing_id)
    assert found is not None
    return found.value


def test_an_alert_opens_a_super_alarm(world: World) -> None:
    send(world, firing("a", world))
    rest(world)
    assert [len(group.alarms) for group in world.groups()] == [1]
    assert stored(world, "prom/a").state is FiringState.FIRING


def test_a_group_stays_open_while_its_alert_fires_and_closes_after(world: World) -> None:
    send(world, firing("a", world, expires_at=world.clock.now() + 60.0))
    rest(world)
    world.clock.advance(50.0)
    rest(world)
    assert world.groups()[0].state is SuperAlarmState.OPEN
    world.clock.advance(20.0)
    rest(world)
    assert world.groups()[0].state is SuperAlarmState.RESOLVED


def test_a_restarted_loop_knows_what_fires(world: World) -> None:
    send(world, firing("a", world))
    rest(world)
    world.start()
    world.clock.advance(50.0)
    rest(world)
    assert world.groups()[0].state is SuperAlarmState.OPEN


def test_an_alert_that_ended_before_it_was_taken_is_an_alarm_all_the_same(world: World) -> None:
    send(world, firing("a", world, ended_at=world.clock.now()))
    rest(world)
    assert stored(world, "prom/a").state is FiringState.RESOLVED
    assert len(world.groups()) == 1


def test_an_end_that_comes_later_is_noticed(world: World) -> None:
    send(world, firing("a", world))
    rest(world)
    world.clock.advance(10.0)
    now = world.clock.now()
    over = dataclasses.replace(
        stored(world, "prom/a"), state=FiringState.RESOLVED, ended_at=now, received_at=now
    )
    world.ledger.commit("test", [Put(FIRINGS, over)])
    rest(world)
    assert world.groups()[0].state is SuperAlarmState.RESOLVED


def test_a_clock_that_is_hours_off_does_not_keep_an_alarm_from_its_group(world: World) -> None:
    late = dataclasses.replace(sample_alarm("A-late", 0.0), at=world.clock.now() - 7_200.0)
    send(world, firing("a", world, alarm=late))
    rest(world)
    assert world.groups()[0].alarms[0].at == world.clock.now()


def test_series_that_fire_and_are_abnormal_here_count_from_the_earlier_time(world: World) -> None:
    send(world, firing("a", world))
    rest(world)
    series = stored(world, "prom/a").alarm.series
    world.detector.outside[series] = 1.0
    part = next(p for p in world.watcher._parts if isinstance(p, receiving.Receiving))
    assert part.abnormal()[series] == 1.0
    assert list(part.observe([])) == []


def test_a_veto_keeps_the_alert_with_its_reason(world: World) -> None:
    def veto(alarm: Alarm) -> Alarm:
        return dataclasses.replace(alarm, vetoed="vetoed by rule r of ann: she knows")

    world.watcher = dataclasses.replace(world.watcher, judge=veto)
    send(world, firing("a", world))
    rest(world)
    assert world.groups() == []
    assert stored(world, "prom/a").folded == "vetoed by rule r of ann: she knows"
    (folding,) = world.ledger.select(FOLDINGS)
    assert folding.value.reason == "vetoed by rule r of ann: she knows"
    sender = world.ledger.get(SENDERS, "prom")
    assert sender is not None
    assert sender.value.folded == 1


def test_a_flood_is_one_alarm_and_the_others_are_grouped(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flooding, "PER_WINDOW", 3)
    monkeypatch.setattr(flooding, "PER_NAME", 2)
    send(world, *(firing(str(n), world) for n in range(10)), firing("b", world, "quiet"))
    rest(world)
    alarms = {one.value.alarm_id for one in world.ledger.select(ALARMS)}
    assert "A-quiet-b" in alarms
    assert sum(name.startswith("A-prom") for name in alarms) == 3
    assert sum(name.startswith("A-flood-prom") for name in alarms) == 1
    states = [one.value.state for one in world.ledger.select(FIRINGS)]
    assert states == [FiringState.FIRING] * 11
    sender = world.ledger.get(SENDERS, "prom")
    assert sender is not None
    assert (sender.value.folded, "more than 3" in sender.value.reason) == (7, True)


def named(key: str, name: str, world: World) -> Firing:
    made = firing(key, world)
    return dataclasses.replace(made, alarm=dataclasses.replace(made.alarm, signal=name))


def test_what_else_a_flooding_sender_says_is_grouped(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until it says ever new things, of which twice its share are taken."""
    monkeypatch.setattr(flooding, "PER_WINDOW", 4)
    monkeypatch.setattr(flooding, "PER_NAME", 2)
    send(world, *(named(f"a{n}", "Flood", world) for n in range(9)))
    rest(world)
    send(world, *(named(f"b{n}", "Disk", world) for n in range(3)))
    send(world, *(named(f"c{n}", f"New{n}", world) for n in range(5)))
    rest(world)
    made = [one.value.signal for one in world.ledger.select(ALARMS)]
    assert sorted(made) == [
        *["Disk"] * 2, *["Flood"] * 4, "New0", "New1", "flood of alerts"
    ]  # fmt: skip
    world.clock.advance(world.policy.join_seconds + 1.0)
    send(world, named("late", "Flood", world))
    rest(world)
    assert not stored(world, "prom/late").folded


def test_every_sender_gets_its_share_of_a_step(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiving, "AT_ONCE", 4)
    world.start()
    send(world, *(firing(f"{n:02}", world) for n in range(10)), firing("b", world, "quiet"))
    world.watcher.step()
    taken = [one.value for one in world.ledger.select(FIRINGS)]
    assert [one.sender for one in taken if one.state is FiringState.FIRING] == [
        "prom",
        "prom",
        "quiet",
    ]


def test_what_changed_meanwhile_waits_for_the_next_step(world: World) -> None:
    send(world, firing("a", world))
    commit = world.ledger.commit
    spoiled: list[str] = []

    def first_spoil(name: str, writes: object) -> None:
        if name == "watch.receive" and not spoiled:
            spoiled.append(name)
            commit("test", [Put(FIRINGS, dataclasses.replace(stored(world, "prom/a"), times=2))])
        commit(name, writes)

    world.ledger.commit = first_spoil  # type: ignore[method-assign]  # a fault for this test
    world.watcher.step()
    assert stored(world, "prom/a").state is FiringState.WAITING
    rest(world)
    assert stored(world, "prom/a").state is FiringState.FIRING


def test_what_ended_while_the_loop_was_down_is_not_held_for_firing(world: World) -> None:
    send(world, firing("a", world))
    rest(world)
    world.clock.advance(200.0)
    world.start()
    rest(world)
    assert world.groups()[0].state is SuperAlarmState.RESOLVED


def test_an_alarm_that_was_made_and_not_grouped_before_a_crash_is_made_again(
    world: World,
) -> None:
    made = firing("a", world, state=FiringState.FIRING)
    send(world, made)
    world.ledger.commit("test", [Put(ALARMS, made.alarm)])
    world.clock.advance(1_000.0)
    kept = dataclasses.replace(made, expires_at=world.clock.now() + 100.0)
    world.ledger.commit("test", [Put(FIRINGS, kept)])
    world.start()
    rest(world)
    assert [len(group.alarms) for group in world.groups()] == [1]
    world.start()
    rest(world)
    assert [len(group.alarms) for group in world.groups()] == [1]


@pytest.mark.parametrize("kept", [50, 0])
def test_an_alarm_of_an_earlier_time_is_not_made_again(
    world: World, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    """Whether it is among those that are kept of that time, or that time had more."""
    monkeypatch.setattr(returning, "ALARMS_KEPT", kept)
    send(world, firing("a", world, ended_at=world.clock.now()))
    rest(world)
    first = stored(world, "prom/a")
    world.clock.advance(400.0)
    rest(world)
    again = firing("b", world, ended_at=world.clock.now())
    same = dataclasses.replace(again.alarm, series=first.alarm.series)
    send(world, dataclasses.replace(again, alarm=same))
    rest(world)
    assert [one.times for one in world.groups()] == [2]
    send(world, dataclasses.replace(first, firing_id="prom/first"))
    world.start()
    rest(world)
    assert [(one.times, len(one.alarms)) for one in world.groups()] == [(2, 1)]


def test_slow_steps_take_less_and_quick_ones_more(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiving, "AT_ONCE", 4)
    world.start()
    send(world, *(firing(f"{n:02}", world) for n in range(12)))

    def waiting() -> int:
        found = world.ledger.select(FIRINGS, where={"state": FiringState.WAITING.value})
        return len(found)

    taken = []
    for seconds in (3.0, 3.0, 0.0, 0.0):
        before = waiting()
        world.watcher.step()
        taken.append(before - waiting())
        world.clock.advance(seconds)
    assert taken == [4, 2, 1, 2]
