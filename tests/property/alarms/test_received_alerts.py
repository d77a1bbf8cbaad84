"""Whatever order, repetition and mixture alerts come in, each that fired is stored once."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from alarms.intake.alerts import Told
from alarms.intake.door import Door, DoorLimits
from engine.model.intake import FiringState
from engine.model.records import FIRINGS
from engine.store import open_ledger
from engine.testing.clocks import ManualClock

START = 1_000_000.0
DELIVERIES = st.lists(
    st.lists(
        st.tuples(st.integers(0, 4), st.integers(0, 2), st.booleans()), min_size=1, max_size=5
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=60, deadline=None)
@given(DELIVERIES)
def test_each_alert_that_fired_is_stored_once_and_none_comes_back(
    deliveries: list[list[tuple[int, int, bool]]],
) -> None:
    with open_ledger("sqlite://") as ledger:
        clock = ManualClock(START)
        door = Door(ledger, clock, DoorLimits(alerts_per_minute=10**6))
        fired: set[tuple[str, float]] = set()
        ended: set[tuple[str, float]] = set()
        for batch in deliveries:
            over = {(name, at) for name, at, is_over in batch if is_over}
            door.alerts("p", [told(*one) for one in batch])
            for name, at, _ in batch:
                key = (str(name), START + at)
                if (name, at) not in over or key in fired:
                    fired.add(key)
                    ended |= {key} if (name, at) in over else set()
            clock.advance(1.0)
        stored = {
            (one.value.alarm.signal, one.value.starts_at): one.value
            for one in ledger.select(FIRINGS)
        }
        assert set(stored) == fired
        for key, firing in stored.items():
            assert (firing.ended_at is not None) == (key in ended)
            assert firing.state is FiringState.WAITING


def told(name: int, at: int, is_over: bool) -> Told:
    return Told(
        labels={"alertname": str(name)},
        annotations={},
        starts_at=START + at,
        ends_at=None,
        is_resolved=is_over,
    )
