"""Port `SignalSource`: how long each sender of values has been silent.

A sender that stops takes its series with it: nothing is abnormal then, since nothing is measured.
Who only ever sent alerts is left out, because no alerts are good news.
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.model.intake import Sender
from engine.model.records import SENDERS
from engine.model.signals import Layer, Signal
from engine.windows import StoreSource


class SenderSilence(StoreSource):
    """Looks at all senders once a window."""

    name = "senders"

    def _look(self, now: float) -> Sequence[Signal]:
        senders = (stored.value for stored in self._ledger.select(SENDERS))
        return [_signal(each, now) for each in senders if each.values]


def _signal(sender: Sender, now: float) -> Signal:
    return Signal(
        name="sender_silent_seconds",
        layer=Layer.MACHINE,
        subject=f"sender:{sender.name}",
        at=now,
        value=max(0.0, now - sender.received_at),
        unit="s",
    )
