"""What sources of signals that look at the store alone share: one look per window."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from engine.model.signals import Signal
from engine.ports import Clock, Ledger


class StoreSource(ABC):
    """Port `SignalSource` without a name; the position is the number of the window.

    window_seconds: time between two looks.
    """

    def __init__(self, ledger: Ledger, clock: Clock, *, window_seconds: float) -> None:
        self._ledger = ledger
        self._clock = clock
        self._window_seconds = window_seconds

    def read(self, position: str) -> tuple[Sequence[Signal], str]:
        """Return the signals of this window, if it was not read yet; see the port."""
        now = self._clock.now()
        window = str(int(now // self._window_seconds))
        found = None if window == position else self._look(now)
        return ([], position) if found is None else (found, window)

    @abstractmethod
    def _look(self, now: float) -> Sequence[Signal] | None:
        """Return what is seen now; None where the window is to be looked at once more."""
