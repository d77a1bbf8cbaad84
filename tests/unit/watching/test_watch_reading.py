"""Signals and their alarms are stored together and once, whatever happens in between."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import pytest

from engine.model.alarms import Alarm
from engine.model.errors import RefusedError, UnreachableError
from engine.model.records import (
    ALARMS,
    CURSORS,
    FOLDINGS,
    SEASONS,
    SIGNALS,
    SUPER_ALARMS,
    Put,
    Write,
)
from engine.model.signals import Season, Signal
from engine.store import SqlLedger, begin_term
from engine.testing.watch_suites import gauge, group
from engine.watching.desk import Desk
from tests.support.watch_world import ScriptedDetector, World


def test_signals_alarms_and_position_are_stored(world: World) -> None:
    assert world.measure(500.0, gauge)
    assert len(world.ledger.select(SIGNALS)) == 1
    assert len(world.ledger.select(ALARMS)) == 1
    cursor = world.ledger.get(CURSORS, "scripted")
    assert cursor is not None
    assert cursor.value.position == "1"


def test_they_are_one_commit(world: World) -> None:
    names: list[str] = []
    commit = SqlLedger.commit

    def noted(self: SqlLedger, name: str, writes: Sequence[Write]) -> None:
        names.append(f"{name} {len(writes)}")
        commit(self, name, writes)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SqlLedger, "commit", noted)
        world.measure(500.0, gauge)
    # The term, the position, the signal, the alarm.
    assert names[0] == "watch.observe 4"


class Vetoing(ScriptedDetector):
    """Vetoes whatever it raises."""

    def observe(self, signals: Sequence[Signal]) -> Sequence[Alarm]:
        return [dataclasses.replace(one, vetoed="vetoed: x") for one in super().observe(signals)]


def test_what_a_rule_vetoes_is_kept_with_the_reason_and_is_no_alarm(world: World) -> None:
    world.start(Vetoing())
    world.measure(500.0, gauge)
    assert (world.ledger.select(ALARMS), world.groups()) == ([], [])
    (folding,) = world.ledger.select(FOLDINGS)
    assert (folding.value.reason, folding.value.at) == ("vetoed: x", world.clock.now())


def test_nothing_new_changes_nothing(world: World) -> None:
    world.measure(1.0, gauge)
    assert not world.watcher.step()


def test_a_new_detector_sees_the_stored_signals_first(world: World) -> None:
    for _ in range(3):
        world.measure(1.0, gauge)
    world.start()
    world.measure(2.0, gauge)
    assert [signal.value for signal in world.detector.seen] == [1.0, 1.0, 1.0, 2.0]


def test_a_restart_repeats_no_alarm(world: World) -> None:
    world.measure(500.0, gauge)
    world.start()
    world.watcher.step()
    assert len(world.ledger.select(ALARMS)) == 1
    assert len(world.groups()) == 1


def test_a_source_that_does_not_answer_is_read_later(world: World) -> None:
    world.source.error = UnreachableError("no route")
    world.measure(1.0, gauge)
    assert not world.ledger.select(SIGNALS)
    world.watcher.step()
    assert len(world.ledger.select(SIGNALS)) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"value": math.nan},
        {"value": -1e300},
        {"weight": math.inf},
        {"at": math.nan},
        {"at": -1.0},
        {"at": 1_790_000_000_000.0},
        {"subject": "model:\0"},
        {"subject": "model:\ud800"},
    ],
)
def test_what_was_not_measured_is_left_out_and_told(
    world: World, caplog: pytest.LogCaptureFixture, changes: dict[str, Any]
) -> None:
    """The last of the times is now, in milliseconds; PostgreSQL stores no NUL."""
    world.source.signals.append(dataclasses.replace(gauge(world.clock.now(), 1.0), **changes))
    world.measure(2.0, gauge)
    assert [stored.value.value for stored in world.ledger.select(SIGNALS)] == [2.0]
    assert "1 signals of scripted are left out" in caplog.text


class Stubborn:
    """A ledger that loses the next compare-and-set of a name."""

    def __init__(self, world: World, name: str) -> None:
        self._commit = world.ledger.commit
        self._name = name
        self.lost = 0

    def __call__(self, name: str, writes: Sequence[Write]) -> None:
        if name == self._name and self.lost == 0:
            self.lost += 1
            stale = Put(SUPER_ALARMS, group(name="SA-none"), 99)
            writes = [*writes, stale]
        self._commit(name, writes)


@pytest.mark.parametrize(
    "name",
    ["watch.observe", "watch.group", "watch.retrain", "watch.notify", "watch.notified"],
)
def test_a_commit_that_is_lost_is_made_up_by_the_next_step(
    world: World, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    stubborn = Stubborn(world, name)
    monkeypatch.setattr(world.ledger, "commit", stubborn)
    world.measure(500.0, gauge)
    world.watcher.step()
    assert stubborn.lost == 1
    assert len(world.ledger.select(ALARMS)) == 1
    assert len(world.groups()) == 1
    assert world.notifier.told


def test_an_engine_whose_term_is_over_stops(world: World) -> None:
    begin_term(world.ledger, world.clock, "another")
    with pytest.raises(RefusedError, match="another engine took over"):
        world.measure(1.0, gauge)


def test_a_store_without_a_term_refuses(world: World) -> None:
    term = dataclasses.replace(world.watcher.term, number=7)
    desk = Desk(world.ledger, world.clock, world.policy, term)
    with pytest.raises(RefusedError):
        desk.commit("test")


def test_old_signals_go_but_the_newest_of_a_series_stays(world: World) -> None:
    for _ in range(3):
        world.measure(1.0, gauge)
    world.clock.advance(8 * 86_400.0)
    world.watcher.step()
    assert [stored.value.at for stored in world.ledger.select(SIGNALS)] == [1_003.0]


def test_too_many_signals_go_oldest_first(world: World) -> None:
    world.policy = dataclasses.replace(world.policy, signals_kept=2)
    world.start()
    for _ in range(5):
        world.measure(1.0, gauge)
    kept = [stored.value.at for stored in world.ledger.select(SIGNALS, order_by="at")]
    assert kept == [1_004.0, 1_005.0]


def test_a_lost_pruning_is_repeated(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.policy = dataclasses.replace(world.policy, signals_kept=1)
    world.start()
    monkeypatch.setattr(world.ledger, "commit", Stubborn(world, "watch.prune"))
    for _ in range(4):
        world.measure(1.0, gauge)
    assert len(world.ledger.select(SIGNALS)) == 1


class Remembers(ScriptedDetector):
    """A detector that remembers a season for each signal."""

    recalled: Sequence[Season] = ()

    def remembered(self) -> Sequence[Season]:
        return [season(int(signal.at)) for signal in self.seen[-1:]]

    def recall(self, seasons: Sequence[Season]) -> None:
        self.recalled = seasons


def season(number: int, expires_at: float = 2_000.0) -> Season:
    return Season(series="s", number=number, expires_at=expires_at, slots=((0, (1.0, 2.0)),))


def test_what_a_detector_remembers_is_stored_and_recalled(world: World) -> None:
    world.start(Remembers())
    world.measure(1.0, gauge)
    world.measure(2.0, gauge)
    assert len(world.ledger.select(SEASONS)) == 2
    again = Remembers()
    world.start(again)
    world.watcher.step()
    assert [one.number for one in again.recalled] == [1_001, 1_002]
    assert again.recalled[0].slots == ((0, (1.0, 2.0)),)


def test_seasons_that_expired_are_neither_recalled_nor_kept(world: World) -> None:
    seasons = [season(1, expires_at=900.0), season(2)]
    world.ledger.commit("test", [Put(SEASONS, one) for one in seasons])
    later = Remembers()
    world.start(later)
    world.watcher.step()
    assert [one.number for one in later.recalled] == [2]
    assert [stored.value.number for stored in world.ledger.select(SEASONS)] == [2]
