"""The newest values of every series, in memory: what causes are looked for in."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from engine.model.signals import Signal
from engine.model.sizing import USE_SIGNALS


class Recent:
    """Keeps at most so many values per series; rebuilt from the store after a restart."""

    def __init__(self, values: int) -> None:
        self._values = values
        self._series: dict[str, deque[Signal]] = {}
        self.added = 0
        """Signals seen so far, forgotten ones included."""

    def add(self, signals: Iterable[Signal]) -> None:
        """Remember signals, in order of time."""
        for signal in signals:
            self.added += 1
            self._series.setdefault(signal.series, deque(maxlen=self._values)).append(signal)

    def signals(self) -> list[Signal]:
        """Return everything that is remembered but what services are sized by."""
        return [
            signal
            for series in self._series.values()
            for signal in series
            if signal.name not in USE_SIGNALS
        ]

    def of(self, series: str) -> list[Signal]:
        """Return what is remembered of one series, oldest first."""
        return list(self._series.get(series, ()))

    def newest(self) -> dict[str, float]:
        """Return the time of the newest value of every series."""
        return {name: series[-1].at for name, series in self._series.items()}
