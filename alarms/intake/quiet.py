"""Port `SignalSource`: how long each sender of values has been silent.

A sender that stops takes its series with it: nothing is abnormal then, since nothing is measured.
Who only ever sent alerts is left out, because no alerts are good news.
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.model.intake import Sender
from engine.model.records import SENDERS
from engine.model.signals import Layer, Signal
from engine.ports import Clock, Ledger


class SenderSilence:
    """One look at all senders per window. window_seconds: time between two looks."""

    name = "senders"

    def __init__(self, ledger: Ledger, clock: Clock, *, window_seconds: float) -> None:
        self._ledger = ledger
        self._clock = clock
        self._window_seconds = window_seconds

    def read(self, position: str) -> tuple[Sequence[Signal], str]:
        """Return how long each sender has been silent, once a window; see the port."""
        now = self._clock.now()
        window = str(int(now // self._window_seconds))
        if window == position:
            return [], position
        senders = (stored.value for stored in self._ledger.select(SENDERS))
        return [_signal(each, now) for each in senders if each.values], window


def _signal(sender: Sender, now: float) -> Signal:
    return Signal(
        name="sender_silent_seconds",
        layer=Layer.MACHINE,
        subject=f"sender:{sender.name}",
        at=now,
        value=max(0.0, now - sender.received_at),
        unit="s",
    )
