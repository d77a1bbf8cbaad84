"""Whether more workers pay: predicted from a short probe, before anything is trained.

Three things are measured in one start of the workers (`probing`): a step of the whole batch by one
worker while the others wait; the steps of the slices by all of them at once, without a word between
them, which shows how far they get into each other's way; and the exchange of gradients alone. The
speed-up is the first over the sum of the other two.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

NAME = "probe.json"
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
    def pays(self) -> bool:
        """Whether so many workers are worth it."""
        return self.speed_up >= PAYS


def read(folder: Path) -> Probe:
    """Return what was measured."""
    return Probe(**json.loads((folder / NAME).read_text(encoding="utf-8")))
