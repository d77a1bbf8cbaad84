"""The first part of a step: read sources, detect, and store signals with the alarms they raise.

Signals, alarms and positions are one commit, so that after a crash either all of them are there
or the sources are read again from where they were.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from engine.model.alarms import Alarm
from engine.model.errors import RetryableError
from engine.model.feedback import Folding
from engine.model.records import (
    ALARMS,
    CURSORS,
    FOLDINGS,
    SEASONS,
    SIGNALS,
    Cursor,
    Put,
    Write,
)
from engine.model.signals import Season, Signal
from engine.model.sizing import USE_SIGNALS
from engine.ports import Detector, Remembering, SignalSource
from engine.watching import promises
from engine.watching.desk import Desk
from engine.watching.recent import Recent

_LOG = logging.getLogger(__name__)
SEASONS_MOST = 1_000_000
"""Of all series together; a thousand series have 28,000."""
AHEAD_SECONDS = 3_600.0
"""So far the clock of the machine that measures may be ahead of ours."""
MAGNITUDE_MOST = 1e100
"""Nothing is measured that is as large; squares of what is smaller are numbers still."""
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
"""NUL, and halves of letters: no store of text takes them."""
_LATE_SHARE = 0.5
"""Of the time in which an alarm may join a group: it must still be offered after a slow step."""


@dataclass(slots=True)
class Batch:
    """What one look at the sources brought, until it is stored."""

    signals: list[Signal] = field(default_factory=list)
    cursors: list[Cursor] = field(default_factory=list)
    alarms: list[Alarm] = field(default_factory=list)
    vetoed: list[Folding] = field(default_factory=list)
    seasons: list[Season] = field(default_factory=list)

    def writes(self) -> list[Write]:
        """Return everything of the batch. Keys follow from content: a repetition overwrites."""
        return [
            *(Put(CURSORS, cursor) for cursor in self.cursors),
            *(Put(SIGNALS, signal) for signal in self.signals),
            *(Put(ALARMS, alarm) for alarm in self.alarms),
            *(Put(FOLDINGS, folding) for folding in self.vetoed),
            *(Put(SEASONS, season) for season in self.seasons),
        ]


class Reading:
    """Reads sources and keeps the detector's state in step with the store."""

    def __init__(
        self, desk: Desk, sources: Sequence[SignalSource], detector: Detector, recent: Recent
    ) -> None:
        self._desk = desk
        self._sources = sources
        self._detector = detector
        self._recent = recent
        self._is_rebuilt = False
        self._pending: Batch | None = None

    def step(self) -> bool:
        """Read, detect and store; return whether there was anything."""
        if not self._is_rebuilt:
            self._rebuild()
            self._is_rebuilt = True
        if self._pending is None:
            self._pending = self._read()
        batch = self._pending
        if not batch.cursors and not batch.signals:
            self._pending = None
            return False
        # The detector has seen the batch: it is offered again until it is stored.
        if not self._desk.commit("watch.observe", *batch.writes()):
            return False
        self._pending = None
        return bool(batch.signals)

    def _rebuild(self) -> None:
        """Bring a new detector to where the old one was, by what is stored.

        Its memory of seasons goes further back than the signals.
        """
        policy = self._desk.policy
        if isinstance(self._detector, Remembering):
            known = self._desk.ledger.select(
                SEASONS, order_by="expires_at", since=self._desk.clock.now(), limit=SEASONS_MOST
            )
            self._detector.recall([stored.value for stored in known])
        newest = self._desk.ledger.select(
            SIGNALS, order_by="at", descending=True, limit=2 * policy.signals_kept
        )
        signals = [stored.value for stored in reversed(newest)]
        self._recent.add(signals)
        repeated = self._detector.observe(_tested(signals))
        _LOG.debug("replayed %d signals with %d alarms", len(signals), len(repeated))

    def _read(self) -> Batch:
        batch = Batch()
        for source in self._sources:
            stored = self._desk.ledger.get(CURSORS, source.name)
            before = "" if stored is None else stored.value.position
            try:
                signals, position = source.read(before)
            except RetryableError as error:
                _LOG.warning("signals of %s cannot be read now: %s", source.name, error.message)
                continue
            batch.signals += self._measured(source.name, signals)
            if position != before:
                batch.cursors.append(Cursor(source=source.name, position=position))
        batch.signals.sort(key=lambda signal: signal.at)
        tested = _tested(batch.signals)
        found = [self._dated(alarm) for alarm in self._detector.observe(tested)]
        batch.alarms = [
            promises.weighed(self._desk.ledger, alarm) for alarm in found if not alarm.vetoed
        ]
        now = self._desk.clock.now()
        batch.vetoed = [
            Folding(alarm=alarm, at=now, reason=alarm.vetoed) for alarm in found if alarm.vetoed
        ]
        if isinstance(self._detector, Remembering):
            batch.seasons = list(self._detector.remembered())
        self._recent.add(batch.signals)
        return batch

    def _measured(self, source: str, signals: Sequence[Signal]) -> list[Signal]:
        """Return what of a source's signals was measured, by a clock that is not far ahead."""
        until = self._desk.clock.now() + AHEAD_SECONDS
        kept = [signal for signal in signals if _is_measured(signal, until)]
        if len(kept) < len(signals):
            left = next(signal for signal in signals if not _is_measured(signal, until))
            _LOG.warning(
                "%d signals of %s are left out: no numbers of less than %g, no time up to now in "
                "seconds since 1970, or no text in a name; the first is %r of %g at %g",
                len(signals) - len(kept),
                source,
                MAGNITUDE_MOST,
                left.series,
                left.value,
                left.at,
            )
        return kept

    def _dated(self, alarm: Alarm) -> Alarm:
        """Note when an alarm is raised whose signal came so late that it could join no group."""
        now = self._desk.clock.now()
        is_late = now - alarm.at > _LATE_SHARE * self._desk.policy.join_seconds
        return replace(alarm, raised_at=now) if is_late else alarm


def _tested(signals: Iterable[Signal]) -> list[Signal]:
    """Return the signals that may alarm: what a service uses of its machine is for its size."""
    return [signal for signal in signals if signal.name not in USE_SIGNALS]


def _is_measured(signal: Signal, until: float) -> bool:
    """Return whether a signal can be stored, told of and computed with.

    What is no number is nothing measured. One time that lies ahead would make all others look late.
    """
    numbers = (signal.value, signal.weight)
    is_number = all(abs(number) < MAGNITUDE_MOST for number in numbers)
    return is_number and 0 <= signal.at <= until and not _UNSTORABLE.search(signal.series)
