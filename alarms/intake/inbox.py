"""The signals that other systems sent, on their way to the watch loop."""

from __future__ import annotations

import json
from collections.abc import Sequence

from alarms.intake.door import CURSOR
from engine.model.intake import Delivery
from engine.model.records import DELIVERIES, SENDERS, Delete
from engine.model.signals import Signal
from engine.ports import Ledger

SIGNALS_AT_ONCE = 4_000
"""Signals of one look, from every sender its share; one delivery always goes."""
_DELIVERIES_AT_ONCE = 50


class Inbox:
    """Reads deliveries, from every sender its share. Port `SignalSource`.

    The position says for each sender how far its deliveries were read. What lies before it was
    stored by the loop and is removed with the next look.
    """

    name = CURSOR

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def read(self, position: str) -> tuple[Sequence[Signal], str]:
        """Return the next signals of all senders and the position after them."""
        reached: dict[str, float] = json.loads(position) if position else {}
        waiting: dict[str, list[Delivery]] = {}
        for stored in self._ledger.select(SENDERS):
            waiting[stored.value.name] = self._after(stored.value.name, reached)
        found: list[Signal] = []
        while any(waiting.values()) and len(found) < SIGNALS_AT_ONCE:
            for sender, deliveries in sorted(waiting.items()):
                if deliveries:
                    delivery = deliveries.pop(0)
                    found += delivery.signals
                    reached[sender] = delivery.received_at
        found.sort(key=lambda signal: signal.at)
        return found, json.dumps(reached, sort_keys=True) if reached else position

    def _after(self, sender: str, reached: dict[str, float]) -> list[Delivery]:
        """Return the oldest deliveries of a sender that were not read; remove the others."""
        oldest = self._ledger.select(
            DELIVERIES,
            where={"sender": sender},
            order_by="received_at",
            limit=_DELIVERIES_AT_ONCE,
        )
        since = reached.get(sender, 0.0)
        # The newest stays: what arrives after a restart must be later than it.
        read = [one.value for one in oldest if one.value.received_at < since]
        if read:
            self._ledger.commit(
                "intake.read", [Delete(DELIVERIES, DELIVERIES.key(one)) for one in read]
            )
        return [one.value for one in oldest if one.value.received_at > since]
