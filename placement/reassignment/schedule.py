"""How a search cools down, and how its work is cut into rounds."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from placement.reassignment import state as states

# Steps of a round where only steps limit the search, and of the first round otherwise.
ROUND_STEPS = 250
# Where seconds limit the search, a round takes about this share of them, between these lengths.
ROUND_SHARE = 1 / 400
ROUND_SECONDS = (0.05, 1.0)
MOST_ROUND_STEPS = 100_000

# Temperatures at the start and at the end as shares of what a mean process weighs.
FIRST_TEMPERATURE = 0.006
LAST_TEMPERATURE = 0.00006
# Prices at the start and at the end of a unit of load that a moved process holds at its start.
FIRST_HELD_PRICE = 0.5
LAST_HELD_PRICE = 0.05


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Heat:
    """What a round is run with.

    Attributes:
        temperature: In units of cost.
        held_price: Factor of the weighted amounts held.
    """

    temperature: float
    held_price: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Geometric cooling between two temperatures.

    Attributes:
        weight: Mean weight of a process: what it costs where all of it is above safety.
    """

    weight: float

    def at(self, progress: float) -> Heat:
        """Returns the heat at a progress from 0 to 1."""
        temperature = FIRST_TEMPERATURE * (LAST_TEMPERATURE / FIRST_TEMPERATURE) ** progress
        held = FIRST_HELD_PRICE * (LAST_HELD_PRICE / FIRST_HELD_PRICE) ** progress
        return Heat(temperature=temperature * self.weight, held_price=held)


def schedule(tables: states.Tables) -> Schedule:
    """Returns the schedule that fits the weights of an instance."""
    return Schedule(weight=max(1.0, float(np.mean(tables.requirement @ tables.load_weight))))


class Pace:
    """Cuts the work into rounds and knows how much of it is done."""

    def __init__(self, steps: int, seconds: float, clock: Callable[[], float]) -> None:
        self._most = steps
        self._seconds = seconds
        self._clock = clock
        self._timed = seconds != float("inf")
        self._start = clock() if self._timed else 0.0
        self._last = self._start
        self._size = ROUND_STEPS
        self.steps_done = 0

    def next_steps(self) -> int:
        """Returns how many steps the next round has; 0 when a limit is met."""
        if self._timed and self._elapsed() >= self._seconds:
            return 0
        return min(self._size, self._most - self.steps_done)

    def progress(self) -> float:
        """Returns the used share of the nearest limit, from 0 to 1."""
        by_steps = self.steps_done / max(self._most, 1)
        by_time = self._elapsed() / max(self._seconds, 1e-9) if self._timed else 0.0
        return min(1.0, max(by_steps, by_time))

    def done(self, steps: int) -> None:
        """Counts a finished round, and sizes the next by how long this one took."""
        self.steps_done += steps
        if not self._timed:
            return
        now = self._clock()
        took, self._last = max(now - self._last, 1e-6), now
        low, high = ROUND_SECONDS
        wanted = min(max(self._seconds * ROUND_SHARE, low), high)
        wanted = min(wanted, max(self._seconds - (now - self._start), 0.0))
        factor = min(max(wanted / took, 0.1), 4.0)
        self._size = min(max(int(steps * factor), 1), MOST_ROUND_STEPS)

    def _elapsed(self) -> float:
        return self._clock() - self._start
