"""What people merged or split is merged or split when it comes again."""

from __future__ import annotations

import dataclasses

import pytest

from alarms import SuperAlarmGrouper
from alarms.grouping.headlines import title_of
from engine.model.alarms import Alarm, SuperAlarm
from engine.model.identifiers import SuperAlarmId
from engine.model.records import ALARMS, SUPER_ALARMS, Put
from engine.testing.watch_suites import alarm as sample_alarm
from engine.watching import lessons, matchers, merge, split
from tests.support.watch_world import World

APART_SECONDS = 200.0
"""Alarms of services that nothing relates are one within the gap."""


@pytest.fixture(autouse=True)
def grouped(world: World) -> None:
    """Let alarms be grouped as they are in an engine; nothing is done about any."""
    world.causes.answer = ()
    restart(world)


def restart(world: World) -> None:
    world.start()
    world.watcher = dataclasses.replace(world.watcher, grouper=SuperAlarmGrouper())


def rest(world: World) -> None:
    for _ in range(20):
        if not world.watcher.step():
            return


def fire(world: World, service: str, name: str) -> Alarm:
    """Let an alert of a service come."""
    now = world.clock.now()
    made = dataclasses.replace(
        sample_alarm(f"{service}-{name}-{now}", now, service=service),
        series=f"service:{service}|{name}",
        subject=f"service:{service}",
        signal=name,
        test="alert of prom",
    )
    world.ledger.commit("test", [Put(ALARMS, made)])
    world.detector.outside[made.series] = now
    rest(world)
    return made


def later(world: World, seconds: float = APART_SECONDS) -> None:
    world.clock.advance(seconds)
    rest(world)


def over(world: World) -> None:
    """Let all be normal, for so long that nothing comes again."""
    world.detector.outside.clear()
    for _ in range(3):
        later(world, 3_600.0)
    assert opened(world) == []


def opened(world: World) -> list[set[str]]:
    """Return the series of each open super-alarm, the oldest first."""
    found = world.ledger.select(SUPER_ALARMS, where={"state": ["open", "acknowledged"]})
    groups = sorted((stored.value for stored in found), key=lambda group: group.opened_at)
    return [{alarm.series for alarm in group.alarms} for group in groups]


def merged(world: World) -> SuperAlarm:
    """Let two unrelated services alarm, which a person calls one."""
    fire(world, "a", "E1")
    later(world)
    fire(world, "b", "E1")
    found = world.ledger.select(SUPER_ALARMS, where={"state": "open"}, order_by="updated_at")
    one, other = (stored.value.super_alarm_id for stored in found)
    return merge(world.ledger, world.clock, one, other, "ann", title_of)


A1, A2, B1, B2 = (f"service:{service}|{name}" for service in "ab" for name in ("E1", "E2"))


def test_what_was_merged_takes_later_alarms_of_other_signals(world: World) -> None:
    merged(world)
    later(world)
    fire(world, "b", "E2")
    assert opened(world) == [{A1, B1, B2}]


@pytest.mark.parametrize("restarts", [False, True])
def test_what_was_merged_is_one_when_it_comes_again(world: World, *, restarts: bool) -> None:
    first = merged(world)
    over(world)
    if restarts:
        restart(world)
    fire(world, "b", "E2")
    later(world)
    fire(world, "a", "E2")
    assert opened(world) == [{A2, B2}]
    (stored,) = world.ledger.select(SUPER_ALARMS, where={"state": "open"})
    assert stored.value.super_alarm_id != first.super_alarm_id
    assert any("people merged such alarms before" in why for why in stored.value.because)
    later(world)
    fire(world, "c", "E1")
    assert len(opened(world)) == 2


@pytest.mark.parametrize("order", [("E1", "E2"), ("E2", "E1")])
def test_what_was_split_is_two_when_it_comes_again_until_it_is_merged(
    world: World, order: tuple[str, str]
) -> None:
    """Whichever side comes first keeps the id."""
    fire(world, "a", "E1")
    fire(world, "a", "E2")
    assert opened(world) == [{A1, A2}]
    (stored,) = world.ledger.select(SUPER_ALARMS, where={"state": "open"})
    group = stored.value
    chosen = matchers(["signal=E2"])
    split(world.ledger, world.clock, group.super_alarm_id, chosen, "ann", title_of)
    over(world)
    for name in order:
        later(world, 1.0)
        fire(world, "a", name)
    assert opened(world) == [{f"service:a|{name}"} for name in order]
    found = world.ledger.select(SUPER_ALARMS, where={"state": "open"}, order_by="updated_at")
    reasons = [why for stored in found for why in stored.value.because]
    assert any("as people split such alarms before" in why for why in reasons)
    one, other = (stored.value.super_alarm_id for stored in found)
    merge(world.ledger, world.clock, one, other, "ann", title_of)
    over(world)
    fire(world, "a", "E1")
    fire(world, "a", "E2")
    assert opened(world) == [{A1, A2}]


def test_what_was_split_later_is_not_merged_as_before(world: World) -> None:
    both = merged(world)
    later(world)
    chosen = matchers(["subject=service:b"])
    split(world.ledger, world.clock, both.super_alarm_id, chosen, "ann", title_of)
    over(world)
    fire(world, "a", "E1")
    later(world)
    fire(world, "b", "E1")
    assert opened(world) == [{A1}, {B1}]


def test_what_is_mostly_about_something_else_is_not_merged(world: World) -> None:
    merged(world)
    over(world)
    for service in "acde":
        fire(world, service, "E1")
    later(world)
    fire(world, "b", "E1")
    assert [len(series) for series in opened(world)] == [4, 1]


@pytest.mark.parametrize("is_whole", [True, False])
def test_only_so_much_is_remembered_and_nothing_of_what_is_gone(
    world: World, monkeypatch: pytest.MonkeyPatch, *, is_whole: bool
) -> None:
    """Nor where one side had nothing that the other had not."""
    monkeypatch.setattr(lessons, "LESSONS_MOST", 1 if is_whole else 0)
    merged(world)
    strange = dataclasses.replace(
        world.groups()[0],
        super_alarm_id=SuperAlarmId("SA-x"),
        merged_into="SA-gone",
        regrouped_at=1.0,
    )
    same = dataclasses.replace(strange, super_alarm_id=SuperAlarmId("SA-y"), merged_into="SA-x")
    world.ledger.commit("test", [Put(SUPER_ALARMS, one) for one in (strange, same)])
    over(world)
    restart(world)
    fire(world, "a", "E1")
    later(world)
    fire(world, "b", "E1")
    assert len(opened(world)) == (1 if is_whole else 2)
