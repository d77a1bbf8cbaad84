"""What comes in is stored once, bounded by sender, and read from every sender in turn."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest

from alarms.intake import inbox as inboxes
from alarms.intake.alerts import Told
from alarms.intake.door import BusyError, Door, DoorLimits
from alarms.intake.inbox import Inbox
from alarms.intake.samples import Form, Sample
from alarms.intake.series import Converter, SeriesLimits
from engine.model.errors import ConflictError
from engine.model.intake import Firing, FiringState, Sender
from engine.model.records import CURSORS, DELIVERIES, FIRINGS, SENDERS, Cursor, Put
from engine.store import SqlLedger, open_ledger
from engine.testing.clocks import ManualClock

START = 1_000_000.0


@pytest.fixture
def ledger() -> Iterator[SqlLedger]:
    with open_ledger("sqlite://") as made:
        yield made


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
def door(ledger: SqlLedger, clock: ManualClock) -> Door:
    limits = DoorLimits(alerts_per_minute=5, values_per_minute=50, backlog_seconds=10.0)
    return Door(ledger, clock, limits)


def told(name: str = "a", **changes: object) -> Told:
    made = Told(labels={"alertname": name}, annotations={}, starts_at=START - 5, ends_at=None)
    return dataclasses.replace(made, **changes)


def firings(ledger: SqlLedger) -> list[Firing]:
    return [stored.value for stored in ledger.select(FIRINGS)]


def sender(ledger: SqlLedger, name: str = "p") -> Sender:
    stored = ledger.get(SENDERS, name)
    assert stored is not None
    return stored.value


def now_is(ledger: SqlLedger, state: FiringState) -> None:
    (firing,) = ledger.select(FIRINGS)
    ledger.commit("test", [Put(FIRINGS, dataclasses.replace(firing.value, state=state))])


def test_what_is_sent_again_is_one_firing(ledger: SqlLedger, door: Door) -> None:
    door.alerts("p", [told(), told()])
    door.alerts("p", [told()])
    (firing,) = firings(ledger)
    assert (firing.times, sender(ledger).alerts) == (2, 3)


def test_an_end_before_it_is_taken_does_not_lose_it(ledger: SqlLedger, door: Door) -> None:
    door.alerts("p", [told()])
    door.alerts("p", [told(is_resolved=True)])
    (firing,) = firings(ledger)
    assert (firing.state, firing.ended_at) == (FiringState.WAITING, START)


def test_an_end_counts_in_whatever_order_it_stands(ledger: SqlLedger, door: Door) -> None:
    door.alerts("p", [told()])
    now_is(ledger, FiringState.FIRING)
    door.alerts("p", [told(is_resolved=True), told()])
    assert firings(ledger)[0].state is FiringState.RESOLVED


def test_what_comes_late_does_not_open_what_ended(ledger: SqlLedger, door: Door) -> None:
    door.alerts("p", [told()])
    now_is(ledger, FiringState.FIRING)
    door.alerts("p", [told(is_resolved=True)])
    door.alerts("p", [told()])
    assert firings(ledger)[0].state is FiringState.RESOLVED


def test_without_a_start_it_may_fire_again(ledger: SqlLedger, door: Door) -> None:
    door.alerts("p", [told(starts_at=None)])
    first = firings(ledger)[0].alarm.alarm_id
    now_is(ledger, FiringState.FIRING)
    door.alerts("p", [told(starts_at=None, is_resolved=True)])
    door.alerts("p", [told(starts_at=None)])
    (firing,) = firings(ledger)
    assert firing.state is FiringState.WAITING
    assert firing.alarm.alarm_id != first


def test_another_start_is_another_firing(ledger: SqlLedger, door: Door) -> None:
    door.alerts("p", [told(), told(starts_at=START)])
    assert len(firings(ledger)) == 2


@pytest.mark.parametrize("off", [-7_200.0, 0.0, 7_200.0])
def test_a_clock_that_is_hours_off_neither_ends_nor_keeps_an_alert(
    ledger: SqlLedger, door: Door, clock: ManualClock, off: float
) -> None:
    starts = START + off
    for _ in range(3):
        now = clock.now() + off
        door.alerts("p", [told(starts_at=starts, ends_at=now + 240.0)])
        clock.advance(60.0)
    (firing,) = firings(ledger)
    assert firing.ended_at is None
    assert firing.expires_at > clock.now()
    now_is(ledger, FiringState.FIRING)
    door.alerts("p", [told(starts_at=starts, ends_at=clock.now() + off)])
    (firing,) = firings(ledger)
    assert (firing.state, firing.ended_at) == (FiringState.RESOLVED, clock.now())
    door.alerts("p", [told(starts_at=starts, ends_at=clock.now() + off)])
    assert firings(ledger)[0].state is FiringState.RESOLVED


def test_an_end_of_what_never_began_is_nothing(ledger: SqlLedger, door: Door) -> None:
    door.alerts("p", [told(is_resolved=True)])
    assert firings(ledger) == []


def test_one_sender_above_its_share_is_refused_and_no_other(
    ledger: SqlLedger, door: Door, clock: ManualClock
) -> None:
    door.alerts("p", [told(str(n)) for n in range(5)])
    with pytest.raises(BusyError, match="more than 5 alerts"):
        door.alerts("p", [told("x")])
    door.alerts("q", [told("x")])
    assert (sender(ledger).refused, len(firings(ledger))) == (1, 6)
    clock.advance(61.0)
    door.alerts("p", [told("x")])
    assert len(firings(ledger)) == 7


def test_a_first_request_is_taken_however_large(ledger: SqlLedger, door: Door) -> None:
    door.alerts("p", [told(str(n)) for n in range(9)])
    assert len(firings(ledger)) == 9


def test_a_conflict_is_tried_again(ledger: SqlLedger, door: Door) -> None:
    commit, left = ledger.commit, [1]

    def spoil(name: str, writes: object) -> None:
        if left[0]:
            left[0] -= 1
            raise ConflictError("somebody was first")
        commit(name, writes)

    ledger.commit = spoil  # type: ignore[method-assign]  # a fault for this test
    door.alerts("p", [told()])
    left[0] = 100
    with pytest.raises(ConflictError, match="times"):
        door.alerts("p", [told()])


# ------------------------------------------------------------------------------- values


def sample(value: float, at: float = START, name: str = "m", **labels: str) -> Sample:
    return Sample(name=name, labels=labels or {"node": "n1"}, at=at, value=value)


def read(ledger: SqlLedger, position: str = "") -> tuple[list[float], str]:
    found, reached = Inbox(ledger).read(position)
    return [signal.value for signal in found], reached


def test_values_are_read_once_in_order(ledger: SqlLedger, door: Door) -> None:
    door.samples("p", [sample(2.0, START + 1), sample(1.0)])
    values, position = read(ledger)
    assert values == [1.0, 2.0]
    assert read(ledger, position) == ([], position)


def test_what_was_read_is_removed_but_for_the_newest(ledger: SqlLedger, door: Door) -> None:
    for n in range(3):
        door.samples("p", [sample(float(n), START + n)])
    _, position = read(ledger)
    read(ledger, position)
    assert len(ledger.select(DELIVERIES)) == 1


def test_every_sender_has_its_turn(
    ledger: SqlLedger, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inboxes, "SIGNALS_AT_ONCE", 2)
    for n in range(3):
        door.samples("p", [sample(float(n), START + n)])
    door.samples("q", [sample(9.0)])
    values, position = read(ledger)
    assert sorted(values) == [0.0, 9.0]
    assert read(ledger, position)[0] == [1.0, 2.0]


def test_values_that_wait_too_long_keep_more_away(
    ledger: SqlLedger, door: Door, clock: ManualClock
) -> None:
    door.samples("p", [sample(1.0)])
    clock.advance(11.0)
    with pytest.raises(BusyError, match="wait"):
        door.samples("p", [sample(2.0, START + 5)])
    _, position = read(ledger)
    ledger.commit("test", [Put(CURSORS, Cursor(source="intake", position=position))])
    door.samples("p", [sample(2.0, START + 5)])


def test_a_restart_does_not_go_back_in_time(ledger: SqlLedger, door: Door) -> None:
    door.samples("p", [sample(1.0)])
    _, position = read(ledger)
    Door(ledger, ManualClock(START - 100)).samples("p", [sample(2.0, START - 99)])
    assert read(ledger, position)[0] == [2.0]


@pytest.mark.parametrize(
    ("value", "at", "reason"),
    [
        (float("nan"), START, "no numbers"),
        (float("inf"), START, "no numbers"),
        (1.0, START + 7_200, "ahead"),
        (1.0, START - 7_200, "older"),
    ],
)
def test_what_cannot_be_used_is_counted_with_the_reason(
    ledger: SqlLedger, door: Door, value: float, at: float, reason: str
) -> None:
    taken = door.samples("p", [sample(value, at)])
    assert (taken.taken, taken.dropped) == (0, 1)
    assert reason in taken.reason
    assert reason in sender(ledger).reason


def test_repeated_and_late_values_are_dropped(door: Door) -> None:
    taken = door.samples("p", [sample(1.0, START + 2), sample(2.0, START + 2)])
    assert (taken.taken, taken.dropped) == (1, 1)
    assert door.samples("p", [sample(1.0)]).dropped == 1


def test_more_series_than_are_watched_are_dropped_and_the_known_go_on(
    ledger: SqlLedger, clock: ManualClock
) -> None:
    door = Door(ledger, clock, DoorLimits(series=SeriesLimits(series_most=2)))
    many = [sample(1.0, node=f"n{n}") for n in range(100)]
    assert door.samples("p", many).dropped == 98
    assert door.samples("p", [sample(2.0, START + 1, node="n0")]).taken == 1


def test_totals_become_rates_and_begin_anew() -> None:
    converter = Converter("p", SeriesLimits())
    totals = [(0.0, 10.0), (10.0, 30.0), (20.0, 5.0)]
    samples = [
        dataclasses.replace(sample(v, START + at, name="x_total"), form=Form.TOTAL)
        for at, v in totals
    ]
    found, _ = converter.signals(samples, START)
    assert [(one.name, one.value) for one in found] == [
        ("x_total_per_second", 2.0),
        ("x_total_per_second", 0.5),
    ]
    deltas = [
        dataclasses.replace(sample(20.0, START + at, name="d"), form=Form.DELTA) for at in (0, 10)
    ]
    assert [one.value for one in converter.signals(deltas, START)[0]] == [2.0]


def test_other_labels_are_other_series() -> None:
    samples = [sample(1.0, node="n1", handler=path * 300) for path in "ab"]
    found, _ = Converter("p", SeriesLimits()).signals(samples, START)
    assert len({one.series for one in found}) == 2
    assert all(len(one.name) < 400 for one in found)


def test_what_a_sender_left_out_stands_in_its_record(ledger: SqlLedger, door: Door) -> None:
    taken = door.alerts("p", [told()], left_out=3)
    assert (taken.taken, taken.dropped, taken.reason) == (1, 3, "3 left out by the sender")
    (stored,) = ledger.select(SENDERS)
    assert (stored.value.alerts, stored.value.dropped) == (1, 3)
