"""A super-alarm that was over by itself and comes again soon is the same one, judged anew."""

from __future__ import annotations

import dataclasses

import pytest

from engine.model.alarms import ActionKind, ActionState, Alarm, SuperAlarm, SuperAlarmState
from engine.model.checks import Checked, CheckKind, Verdict
from engine.model.feedback import Verdict as Word
from engine.model.identifiers import SuperAlarmId
from engine.model.records import ACTIONS, CHECK_FEEDBACK, FEEDBACK, SUPER_ALARMS, Put
from engine.model.signals import Layer, Signal
from engine.testing.watch_suites import alarm, gauge, group
from engine.watching import (
    acknowledge,
    give_check_feedback,
    give_feedback,
    precision_by_month,
    resolve,
    returning,
    silence,
)
from engine.watching.desk import Desk
from engine.watching.returning import Returning, over, reopened
from tests.support.watch_world import DATA, LOST, World

WEAK = dataclasses.replace(DATA, belief=0.1, settled=None)
"""A cause that is not acted upon."""
NORMAL_SECONDS = 7
"""More than the loop waits in these tests until a super-alarm is over."""


@pytest.fixture(autouse=True)
def no_action(world: World) -> None:
    """Let no cause lead to an action, which would keep super-alarms open."""
    world.causes.answer = (WEAK,)


def come(world: World) -> SuperAlarm:
    """Let a series alarm; return the newest super-alarm."""
    world.measure(500.0, gauge)
    return world.groups()[-1]


def go(world: World) -> SuperAlarm:
    """Let all be normal until the super-alarm is over; return it."""
    for _ in range(NORMAL_SECONDS):
        world.measure(1.0, gauge)
    assert world.groups()[-1].state is SuperAlarmState.RESOLVED
    return world.groups()[-1]


def elsewhere(at: float, value: float) -> Signal:
    return dataclasses.replace(gauge(at, value), subject="model:other")


def test_it_keeps_its_id_and_says_how_often_it_came(world: World) -> None:
    first = come(world)
    gone = go(world)
    assert first.again == ""
    assert gone.normal_at == gone.updated_at
    second = come(world)
    assert (second.super_alarm_id, second.state) == (first.super_alarm_id, SuperAlarmState.OPEN)
    assert (second.again, second.note, second.normal_at) == ("came again, 2nd time", "", None)
    (coming,) = second.earlier
    assert (coming.opened_at, coming.ended_at) == (first.opened_at, gone.normal_at)
    assert (coming.alarms, coming.count, coming.likely) == (first.alarms, 1, WEAK)
    assert [one.at for one in second.alarms] == [world.clock.now()] == [second.opened_at]
    go(world)
    third = come(world)
    assert third.again == "came again, 3rd time"
    assert len(world.groups()) == 1
    assert {told.super_alarm_id for told in world.notifier.told} == {first.super_alarm_id}
    assert len(list(world.ledger.select(ACTIONS, where={"kind": ActionKind.NOTIFY.value}))) == 1


@pytest.mark.parametrize(
    ("times", "said"), [(11, "11th"), (12, "12th"), (13, "13th"), (21, "21st"), (112, "112th")]
)
def test_numbers_are_told_in_words(times: int, said: str) -> None:
    assert dataclasses.replace(group(), times=times).again == f"came again, {said} time"


def test_it_is_judged_anew(world: World) -> None:
    """Neither its causes nor its checks of the time before count."""
    first = come(world)
    checked = Checked(
        kind=CheckKind.ROWS,
        subject="x",
        verdict=Verdict.CONFIRMS,
        message="",
        at=1.0,
        took_seconds=0.1,
    )
    stored = world.ledger.get(SUPER_ALARMS, first.super_alarm_id)
    assert stored is not None
    marked = dataclasses.replace(stored.value, checks=(checked,))
    world.ledger.commit("test", [Put(SUPER_ALARMS, marked, stored.version)])
    go(world)
    world.causes.answer = (LOST,)
    second = come(world)
    assert (second.causes, second.checks) == ((LOST,), ())


def test_what_people_say_of_each_time_is_kept(world: World) -> None:
    name = come(world).super_alarm_id
    give_feedback(world.ledger, world.clock, name, Word.WRONG, who="ann")
    go(world)
    come(world)
    give_feedback(world.ledger, world.clock, name, Word.RIGHT, who="bob")
    given = [stored.value for stored in world.ledger.select(FEEDBACK, order_by="at")]
    assert [(one.who, one.times, one.key) for one in given] == [
        ("ann", 1, name),
        ("bob", 2, f"{name}.2"),
    ]
    (month,) = precision_by_month(given)
    assert (month.right, month.wrong) == (1, 1)
    give_feedback(world.ledger, world.clock, name, Word.WRONG, who="bob")
    assert [one.value.who for one in world.ledger.select(FEEDBACK, order_by="at")] == ["ann", "bob"]


def test_what_people_say_of_a_check_is_of_that_time(world: World) -> None:
    checked = Checked(
        kind=CheckKind.ROWS,
        subject="task:p/etl",
        verdict=Verdict.DENIES,
        message="",
        at=1.0,
        took_seconds=0.1,
    )
    cause = dataclasses.replace(DATA, checked=checked)
    for times in (1, 2):
        each = dataclasses.replace(group(), causes=(cause,), times=times)
        world.ledger.commit("test", [Put(SUPER_ALARMS, each)])
        give_check_feedback(
            world.ledger,
            world.clock,
            "SA-1",
            checked.kind,
            checked.subject,
            Word.WRONG,
            who="ann",
        )
    assert {one.value.times for one in world.ledger.select(CHECK_FEEDBACK)} == {1, 2}


def test_what_was_asked_for_before_does_not_keep_it_from_being_asked_for_again(
    world: World,
) -> None:
    world.causes.answer = (DATA,)
    first = come(world)
    (asked,) = world.actions(ActionKind.RETRAIN)
    world.put(dataclasses.replace(asked, state=ActionState.DONE, ended_at=world.clock.now()))
    go(world)
    world.clock.advance(600.0)
    come(world)
    world.causes.answer = (LOST,)
    again = come(world)
    assert again.super_alarm_id == first.super_alarm_id
    assert again.causes == (DATA,), "the new retraining is under way, the old one is not"
    ids = [action.action_id for action in world.actions(ActionKind.RETRAIN)]
    assert ids == [asked.action_id, asked.action_id.replace(".retrain", ".2.retrain")]


def test_causes_do_not_stand_still_for_what_was_done_before(world: World) -> None:
    world.causes.answer = (DATA,)
    come(world)
    (asked,) = world.actions(ActionKind.RETRAIN)
    world.put(dataclasses.replace(asked, state=ActionState.DONE, ended_at=world.clock.now()))
    go(world)
    world.causes.answer = (WEAK,)
    come(world)
    world.causes.answer = (LOST,)
    assert come(world).causes == (LOST,)


def test_what_a_guard_held_back_before_ends_although_it_is_open_again(world: World) -> None:
    world.causes.answer = (DATA,)
    come(world)
    (asked,) = world.actions(ActionKind.RETRAIN)
    world.put(dataclasses.replace(asked, state=ActionState.DONE))
    world.causes.answer = (WEAK,)
    go(world)
    world.put(dataclasses.replace(asked, state=ActionState.HELD))
    come(world)
    (ended,) = world.actions(ActionKind.RETRAIN)
    assert (ended.state, ended.result) == (
        ActionState.DONE,
        "not needed any more: the super-alarm is closed",
    )


@pytest.mark.parametrize("flap_seconds", [0.0, 100.0])
def test_later_or_where_it_is_switched_off_it_is_another_one(
    world: World, flap_seconds: float
) -> None:
    world.policy = dataclasses.replace(world.policy, flap_seconds=flap_seconds)
    world.start()
    come(world)
    go(world)
    world.clock.advance(flap_seconds)
    come(world)
    assert [one.times for one in world.groups()] == [1, 1]


def test_one_that_a_person_closed_stays_closed(world: World) -> None:
    first = come(world)
    resolve(world.ledger, world.clock, first.super_alarm_id, "a test")
    world.measure(1.0, gauge)
    come(world)
    assert [one.times for one in world.groups()] == [1, 1]


def test_another_series_is_another_one(world: World) -> None:
    come(world)
    go(world)
    world.measure(500.0, elsewhere)
    assert [one.times for one in world.groups()] == [1, 1]


def test_it_comes_again_after_a_restart_and_none_of_its_alarms_twice(world: World) -> None:
    first = come(world)
    go(world)
    world.start()
    second = come(world)
    world.start()
    third = come(world)
    assert (third.super_alarm_id, third.times) == (first.super_alarm_id, 2)
    assert [len(second.alarms), len(third.alarms)] == [1, 2]
    assert len(world.groups()) == 1


def test_who_took_it_has_it_until_the_time_is_over(world: World) -> None:
    first = come(world)
    acknowledge(world.ledger, world.clock, first.super_alarm_id, "ann", seconds=30.0)
    go(world)
    second = come(world)
    assert (second.state, second.owner) == (SuperAlarmState.ACKNOWLEDGED, "ann")
    assert second.note == "taken by ann"
    go(world)
    world.clock.advance(60.0)
    come(world)
    assert come(world).state is SuperAlarmState.OPEN


@pytest.mark.parametrize(
    ("seconds", "state"), [(600.0, SuperAlarmState.SILENCED), (8.0, SuperAlarmState.OPEN)]
)
def test_a_silence_of_it_holds_until_its_time_is_over(
    world: World, seconds: float, state: SuperAlarmState
) -> None:
    first = come(world)
    silence(world.ledger, world.clock, first.super_alarm_id, seconds, "known")
    go(world)
    world.clock.advance(10.0)
    second = come(world)
    assert (second.super_alarm_id, second.state) == (first.super_alarm_id, state)
    assert second.note == "silenced: known"


@pytest.mark.parametrize(
    ("state", "by", "kept"),
    [
        (SuperAlarmState.OPEN, "", (None, None)),
        (SuperAlarmState.ACKNOWLEDGED, "", (None, 9.0)),
        (SuperAlarmState.SILENCED, "", (8.0, None)),
        (SuperAlarmState.SILENCED, "S-1", (None, None)),
    ],
)
def test_of_what_people_said_only_what_holds_in_the_end_is_kept(
    state: SuperAlarmState, by: str, kept: tuple[float | None, float | None]
) -> None:
    """A silence by matchers folds alarms before they come here."""
    said = dataclasses.replace(
        group(), state=state, silenced_until=8.0, silenced_by=by, acknowledged_until=9.0, note="n"
    )
    gone = over(said, 5.0)
    assert (gone.silenced_until, gone.acknowledged_until) == kept
    assert gone.note == "n; closed: every signal is normal again"


def named(name: str, *alarms: Alarm, at: float = 1_000.0) -> SuperAlarm:
    """Return a super-alarm of some alarms that was over by itself at an instant."""
    return over(group(*alarms, name=name), at)


class TestTheOldOne:
    """It is the one in which most of the series alarmed."""

    A, B, C, D = (alarm(name, 1.0) for name in "abcd")

    def found(self, world: World, fresh: list[SuperAlarm], *old: SuperAlarm) -> dict[str, str]:
        """Return the ids of the old super-alarms by those of the new ones."""
        world.ledger.commit("test", [Put(SUPER_ALARMS, each) for each in old])
        desk = Desk(world.ledger, world.clock, world.policy, world.watcher.term)
        given = Returning(desk).returned(fresh)
        return {key: group.super_alarm_id for key, (group, _) in given.items()}

    @pytest.mark.parametrize(
        ("alarms", "is_same"),
        [((A,), True), ((A, B, C), True), ((A, C), False), ((C, D), False), ((A, C, D), False)],
    )
    def test_more_than_half_of_the_series_alarmed_there(
        self, world: World, alarms: tuple[Alarm, ...], is_same: bool
    ) -> None:
        found = self.found(world, [group(*alarms, name="new")], named("old", self.A, self.B))
        assert found == ({"new": "old"} if is_same else {})

    def test_series_of_earlier_times_count(self, world: World) -> None:
        twice = reopened(named("old", self.A), group(self.B), 1_005.0)
        assert self.found(world, [group(self.A, name="new")], over(twice, 1_006.0)) == {
            "new": "old"
        }

    def test_of_several_the_nearest_and_then_the_newest(self, world: World) -> None:
        near, far = named("near", self.A, self.B, at=990.0), named("far", self.B)
        new = group(self.A, self.B, name="new")
        assert self.found(world, [new], near, far) == {"new": "near"}
        newer = named("newer", self.A, self.B)
        assert self.found(world, [new], newer) == {"new": "newer"}

    def test_each_comes_again_once(self, world: World) -> None:
        fresh = [group(self.A, name="one"), group(self.A, name="two")]
        assert self.found(world, fresh, named("old", self.A)) == {"one": "old"}

    def test_not_one_that_became_part_of_another(self, world: World) -> None:
        merged = dataclasses.replace(
            group(self.A, name="gone"), state=SuperAlarmState.RESOLVED, updated_at=1_000.0
        )
        assert self.found(world, [group(self.A, name="new")], merged) == {}


def test_the_newest_times_and_the_first_alarms_of_each_are_kept() -> None:
    alarms = [alarm(f"a{number}", float(number)) for number in range(returning.ALARMS_KEPT + 5)]
    one = named("old", *alarms)
    for number in range(returning.EARLIER_MOST + 2):
        one = over(reopened(one, group(*alarms, name="new"), number + 101.0), number + 101.5)
    assert one.super_alarm_id == SuperAlarmId("old")
    assert one.times == returning.EARLIER_MOST + 3
    assert len(one.earlier) == returning.EARLIER_MOST
    coming = one.earlier[-1]
    assert (coming.count, coming.alarms) == (len(alarms), tuple(alarms[: returning.ALARMS_KEPT]))
    assert coming.likely is None


def test_ids_of_what_was_merged_into_either_lead_to_it() -> None:
    old = dataclasses.replace(named("old"), aliases=(SuperAlarmId("SA-a"), SuperAlarmId("SA-b")))
    new = dataclasses.replace(
        group(name="new"), aliases=(SuperAlarmId("SA-c"), SuperAlarmId("SA-a"))
    )
    assert reopened(old, new, 1_001.0).aliases == ("SA-a", "SA-b", "SA-c")


def test_layers_do_not_matter() -> None:
    """The rule knows of series only: what other systems send flaps as well."""
    foreign = dataclasses.replace(alarm("a", 1.0), layer=Layer.PLAN, test="another system")
    again = reopened(named("old", foreign), group(foreign, name="new"), 101.0)
    assert again.earlier[0].alarms == (foreign,)
