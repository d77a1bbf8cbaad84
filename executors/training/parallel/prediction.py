"""Whether more workers pay: predicted from a short probe, before anything is trained.

Three kinds of step are taken in one start of the workers (`probing`), some of a kind in a row and
the kinds in turn: of the whole batch by one worker while the others wait; of the slices by all of
them at once, without a word between them, which shows how far they get into each other's way; and
of the slices with their gradients summed, which shows what the exchange adds. A few steps tell
about a training of thousands.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.model.profiles import Scaling
from engine.model.trainings import modelled

NAME = "probe.json"
_FURTHER = 4
PAYS = 1.1
"""A speed-up below this is not worth a second worker's money."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """Seconds of a step: of one worker alone, of each of `workers` at once, of the exchange."""

    workers: int
    alone_seconds: float
    together_seconds: float
    exchange_seconds: float

    @property
    def speed_up(self) -> float:
        """How many times faster than one worker."""
        return self.alone_seconds / (self.together_seconds + self.exchange_seconds)

    @property
    def scaling(self) -> Scaling:
        """How many times faster other numbers of workers are, up to `_FURTHER` times as many.

        What a step of each worker takes beyond its share is the part that is not shared.
        """
        share, ring = 1.0 / self.workers, 2.0 * (self.workers - 1) / self.workers
        over = self.together_seconds / self.alone_seconds - share
        return modelled(
            serial=min(max(over / (1.0 - share), 0.0), 1.0),
            exchange=self.exchange_seconds / self.alone_seconds / ring,
            most=_FURTHER * self.workers,
        )

    @property
    def pays(self) -> bool:
        """Whether so many workers are worth it."""
        return self.speed_up >= PAYS


def quiet(seconds: Sequence[float]) -> float:
    """Return the median of the quarter that took least: the machine while nobody else is at work.

    >>> quiet([5.0, 1.0, 9.0, 1.2, 1.1, 7.0, 8.0, 6.0])
    1.05
    """
    return statistics.median(sorted(seconds)[: max(len(seconds) // 4, 1)])


def read(folder: Path) -> Probe:
    """Return what was measured."""
    return Probe(**json.loads((folder / NAME).read_text(encoding="utf-8")))
