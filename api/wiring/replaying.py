"""Recorded signals and alerts through the same watch loop, with a clock that the record sets.

Everything but the clock, the store (in memory) and the notifiers is what a running engine has, so
a replay says what the engine would have said; the same file gives the same bytes.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from alarms.intake.door import Door, DoorLimits
from alarms.intake.recorded import Recording
from api.messages.replaying import Moment, Replayed
from api.wiring import loop_parts
from api.wiring.clocks import VirtualClock
from api.wiring.parts import Parts
from engine import store
from engine.model.alarms import SuperAlarm
from engine.model.records import SUPER_ALARMS
from engine.model.signals import Signal
from engine.ports import Ledger

_STEPS_MOST = 200
"""Steps of the loop at one instant; it comes to rest long before."""
_LOOKS_PER_WINDOW = 4


class RecordedSource:
    """Delivers recorded signals whose time has come. Port `SignalSource`."""

    name = "recorded"

    def __init__(self, signals: Sequence[Signal], clock: VirtualClock) -> None:
        self._signals = signals
        self._clock = clock

    def read(self, position: str) -> tuple[Sequence[Signal], str]:
        """Return the signals between a position and now."""
        begin = end = int(position or "0")
        while end < len(self._signals) and self._signals[end].at <= self._clock.now():
            end += 1
        return self._signals[begin:end], str(end) if end else position


def replay(parts: Parts, recording: Recording) -> Replayed:
    """Return what the watch loop makes of a recording.

    Raises:
        InvalidInputError: with all faults of the file of rules.
    """
    clock = VirtualClock(recording.begins_at)
    with store.open_ledger("sqlite://") as ledger:
        own = dataclasses.replace(parts, ledger=ledger, clock=clock, closers=())
        moments = tuple(_Replay(own, ledger, clock, recording).run())
        groups = [stored.value for stored in ledger.select(SUPER_ALARMS)]
    ordered = sorted(groups, key=lambda group: (group.opened_at, group.super_alarm_id))
    return Replayed(
        signals=len(recording.signals),
        alerts=len(recording.alerts),
        moments=moments,
        super_alarms=tuple(ordered),
    )


@dataclass(slots=True)
class _Replay:
    """One replay under way."""

    parts: Parts
    ledger: Ledger
    clock: VirtualClock
    recording: Recording

    def run(self) -> Iterator[Moment]:
        """Yield every change of a super-alarm in order."""
        term = store.begin_term(self.ledger, self.clock, "replay")
        source = RecordedSource(self.recording.signals, self.clock)
        watcher = loop_parts.watcher(
            self.parts, term, (source,), (), loop_parts.detection_of(self.parts.settings)
        )
        # The record is the one sender, and it was let in once before.
        limits = DoorLimits(alerts_per_minute=10**9, values_per_minute=10**9)
        door = Door(self.ledger, self.clock, limits)
        waiting = list(reversed(self.recording.alerts))
        known: dict[str, SuperAlarm] = {}
        for instant in self._instants():
            while waiting and waiting[-1][0] <= instant:
                at, told = waiting.pop()
                self.clock.set(at)
                door.alerts("recorded", [told])
            self.clock.set(instant)
            for _ in range(_STEPS_MOST):
                if not watcher.step():
                    break
            yield from self._changes(known)

    def _instants(self) -> list[float]:
        """Return when the loop looks: as often as an engine while something happens, and after.

        Times at which nothing can change are left out.
        """
        settings = self.parts.settings
        step = settings.scaled(settings.window_seconds) / _LOOKS_PER_WINDOW
        policy_seconds = (0.0, step, 300.0, 300.0 + step, 600.0, 600.0 + step)
        ends = [told.ends_at for _, told in self.recording.alerts if told.ends_at is not None]
        times = [
            *(signal.at for signal in self.recording.signals),
            *(at for at, _ in self.recording.alerts),
            *ends,
        ]
        ticks = {math.ceil(at / step) for at in times}
        later = {tick + math.ceil(seconds / step) for tick in ticks for seconds in policy_seconds}
        return [tick * step for tick in sorted(ticks | later)]

    def _changes(self, known: dict[str, SuperAlarm]) -> Iterator[Moment]:
        """Yield what changed since the last look, by what people would see of it."""
        for stored in self.ledger.select(SUPER_ALARMS):
            group = stored.value
            before = known.get(group.super_alarm_id)
            if before is None or _gist(before) != _gist(group):
                known[group.super_alarm_id] = group
                likely = group.likely
                yield Moment(
                    at=self.clock.now(),
                    super_alarm_id=group.super_alarm_id,
                    state=group.state,
                    severity=group.severity,
                    title=group.title,
                    alarms=len(group.alarms),
                    cause="" if likely is None else likely.title,
                    belief=0.0 if likely is None else likely.belief,
                    times=group.times,
                )


def _gist(group: SuperAlarm) -> tuple[object, ...]:
    likely = group.likely
    cause = None if likely is None else (likely.kind, likely.subject)
    return (group.state, group.severity, len(group.alarms), cause, group.aliases, group.times)
