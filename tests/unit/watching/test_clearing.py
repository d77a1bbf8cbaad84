"""What is old and over goes; what still matters stays."""

from __future__ import annotations

import dataclasses

from engine.model.alarms import SuperAlarmState
from engine.model.feedback import Folding
from engine.model.intake import Firing, FiringState
from engine.model.messages import Message, MessageState
from engine.model.records import FIRINGS, FOLDINGS, MESSAGES, Put
from engine.testing.watch_suites import alarm, group
from tests.support.watch_world import World

DAYS = 86_400.0


def test_only_what_is_old_and_over_is_removed(world: World) -> None:
    now = world.clock.now()
    firing = Firing(
        firing_id="p/old",
        sender="p",
        alarm=alarm("a", now),
        state=FiringState.RESOLVED,
        starts_at=now,
        received_at=now,
        expires_at=now + 1.0,
    )
    lasting = dataclasses.replace(firing, firing_id="p/lasting", expires_at=now + 30 * DAYS)
    folding = Folding(alarm=alarm("f", now), at=now, reason="vetoed")
    held = Folding(alarm=alarm("h", now), at=now, reason="silenced", silence_id="S-1")
    over = dataclasses.replace(group(), state=SuperAlarmState.RESOLVED)
    told = Message(
        message_id="SA-1/a",
        channel="a",
        group=over,
        state=MessageState.SENT,
        due_at=now,
        changed_at=now,
    )
    going = dataclasses.replace(told, message_id="SA-1/b", group=group())
    world.ledger.commit(
        "test",
        [
            Put(FIRINGS, firing),
            Put(FIRINGS, lasting),
            Put(FOLDINGS, folding),
            Put(FOLDINGS, held),
            Put(MESSAGES, told),
            Put(MESSAGES, going),
        ],
    )
    world.clock.advance(8 * DAYS)
    # Without an own silence the held one is judged normal, and stays as it is for a while.
    world.watcher.step()
    kept = {
        *(one.value.firing_id for one in world.ledger.select(FIRINGS)),
        *(one.value.message_id for one in world.ledger.select(MESSAGES)),
        *(one.value.alarm.alarm_id for one in world.ledger.select(FOLDINGS)),
    }
    assert {"p/lasting", "SA-1/b"} <= kept
    assert not {"p/old", "SA-1/a", "f"} & kept
