"""The watch loop: one step reads, judges, acts and tells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from engine.model.records import Term
from engine.ports import (
    CauseFinder,
    Clock,
    Detector,
    Grouper,
    Ledger,
    Notifier,
    SignalSource,
)
from engine.watching.acting import Acting
from engine.watching.clearing import Clearing
from engine.watching.desk import Desk
from engine.watching.hands import Hands
from engine.watching.judging import Judging
from engine.watching.policy import WatchPolicy
from engine.watching.pruning import Pruning
from engine.watching.reading import Reading
from engine.watching.receiving import Judge, Receiving
from engine.watching.recent import Recent
from engine.watching.telling import Telling


@dataclass(slots=True)
class Watcher:
    """Watches signals and leaves super-alarms and actions in the store.

    Level-triggered: everything a step does follows from what is stored, so that a step that was
    cut short anywhere is made up by the next one. After a restart the detector, which must be
    new, is brought to its state by the stored signals.

    sources: read in this order, each from its own position.
    judge: what expert rules make of alarms of other systems.
    """

    ledger: Ledger
    sources: Sequence[SignalSource]
    detector: Detector
    grouper: Grouper
    cause_finder: CauseFinder
    notifiers: Sequence[Notifier]
    clock: Clock
    policy: WatchPolicy
    term: Term
    judge: Judge = lambda alarm: alarm
    _parts: tuple[
        Reading | Receiving | Hands | Judging | Acting | Telling | Pruning | Clearing, ...
    ] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        desk = Desk(self.ledger, self.clock, self.policy, self.term)
        recent = Recent(self.policy.recent_values)
        receiving = Receiving(desk, self.detector, self.judge)
        hands = Hands(desk, self.grouper, receiving)
        self._parts = (
            Reading(desk, self.sources, self.detector, recent),
            receiving,
            hands,
            Judging(desk, receiving, hands, self.cause_finder, recent),
            Acting(desk, receiving, recent),
            Telling(desk, self.notifiers),
            Pruning(desk, recent),
            Clearing(desk),
        )

    def step(self) -> bool:
        """Take every part one step further; return whether anything changed.

        Raises:
            RefusedError: when a newer engine took over: this one must stop.
        """
        changed = False
        for part in self._parts:
            changed |= part.step()
        return changed
