"""A sender of values that stops is told, since its series say nothing any more."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from alarms import HypothesisTree
from alarms.detection.detector import StatisticalDetector
from alarms.intake.quiet import SenderSilence
from engine.model.alarms import Alarm, CauseKind
from engine.model.intake import Sender
from engine.model.records import ABSENT, SENDERS, Put
from engine.ports import SignalSource
from engine.store import SqlLedger, open_ledger
from engine.testing.clocks import ManualClock
from engine.testing.watch_suites import SignalSourceSuite, group

WINDOW_SECONDS = 60.0


@pytest.fixture
def ledger() -> Iterator[SqlLedger]:
    with open_ledger("sqlite://") as made:
        yield made


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1_000_000.0)


@pytest.fixture
def source(ledger: SqlLedger, clock: ManualClock) -> SenderSilence:
    return SenderSilence(ledger, clock, window_seconds=WINDOW_SECONDS)


def sent(ledger: SqlLedger, at: float, *, name: str = "p", values: int = 1) -> None:
    stored = ledger.get(SENDERS, name)
    sender = Sender(name=name, received_at=at, values=values)
    ledger.commit("test", [Put(SENDERS, sender, ABSENT if stored is None else stored.version)])


class TestContract(SignalSourceSuite):
    @pytest.fixture
    def source(self, ledger: SqlLedger, clock: ManualClock) -> SignalSource:
        sent(ledger, clock.now())
        return SenderSilence(ledger, clock, window_seconds=WINDOW_SECONDS)


def test_who_sent_no_values_is_left_out(
    source: SenderSilence, ledger: SqlLedger, clock: ManualClock
) -> None:
    sent(ledger, clock.now(), values=0)
    assert source.read("")[0] == []


def test_a_sender_that_stops_alarms_and_is_the_cause(
    source: SenderSilence, ledger: SqlLedger, clock: ManualClock
) -> None:
    """Deliveries every 15 seconds or so, looked at once a minute."""
    random = np.random.default_rng(1)
    detector = StatisticalDetector()
    alarms: list[Alarm] = []
    for window in range(140):
        clock.advance(WINDOW_SECONDS)
        if window < 120:
            sent(ledger, clock.now() - random.uniform(0, 15))
        alarms += detector.observe(source.read("")[0])
        assert not (alarms and window < 120)
    assert alarms[0].value < 10 * WINDOW_SECONDS
    cause = HypothesisTree().causes(group(alarms[0]), (), ())[0]
    assert (cause.kind, cause.title) == (
        CauseKind.INFRASTRUCTURE,
        "sender p sends nothing any more",
    )
