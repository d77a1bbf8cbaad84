"""The watch loop: one step reads, judges, acts and tells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from engine.model.records import Term
from engine.ports import (
    CauseFinder,
    Clock,
    Detector,
    DriftWatch,
    Grouper,
    Ledger,
    Notifier,
    SignalSource,
)
from engine.watching.acting import Acting
from engine.watching.clearing import Clearing
from engine.watching.desk import Desk
from engine.watching.following import Following
from engine.watching.hands import Hands
from engine.watching.judging import Judging
from engine.watching.learning import Learning, Verdicts, nobody_judged
from engine.watching.members import Title, plain_title
from engine.watching.policy import WatchPolicy
from engine.watching.pruning import Pruning
from engine.watching.reading import Reading
from engine.watching.receiving import Judge, Receiving
from engine.watching.recent import Recent
from engine.watching.telling import Telling
from engine.watching.trainings import Trainings


class _Part(Protocol):
    """One part of a step; whether it changed anything."""

    def step(self) -> bool: ...


@dataclass(slots=True)
class Watcher:
    """Watches signals and leaves super-alarms and actions in the store.

    Level-triggered: everything a step does follows from what is stored, so that a step that was
    cut short anywhere is made up by the next one. After a restart the detector, which must be
    new, is brought to its state by the stored signals.

    sources: read in this order, each from its own position.
    judge: what expert rules make of alarms of other systems.
    verdicts: what people said of causes.
    title: writes the headline of alarms that are split off since people split such off before.
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
    verdicts: Verdicts = nobody_judged
    title: Title = plain_title
    _parts: tuple[_Part, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        desk = Desk(self.ledger, self.clock, self.policy, self.term)
        recent = Recent(self.policy.recent_values)
        drift = self.detector if isinstance(self.detector, DriftWatch) else None
        receiving = Receiving(desk, self.detector, self.judge)
        hands = Hands(desk, self.grouper, receiving, self.title)
        self._parts = (
            Trainings(desk, drift),
            Reading(desk, self.sources, self.detector, recent),
            Learning(desk, self.grouper, self.cause_finder, self.verdicts),
            receiving,
            hands,
            Following(desk, receiving, recent),
            Judging(desk, receiving, hands, self.cause_finder, recent),
            Acting(desk, receiving, recent, drift),
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
