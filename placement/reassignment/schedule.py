"""How a search cools down, and how its work is cut into rounds."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from placement.reassignment import state as states

# Steps of a round where only steps limit the search, and of the first round otherwise.
ROUND_STEPS = 100
# Where seconds limit the search, a round takes about this share of them, between these lengths.
ROUND_SHARE = 1 / 400
ROUND_SECONDS = (0.05, 1.0)
MOST_ROUND_STEPS = 100_000

# With few processes a machine each weighs more: single exchanges seldom fit, the search gets stuck
# while it is still hot.
FEW_OF_MACHINE = 25
# Up to so many it still gets stuck over single large ones, unless room may lack on the way.
SOME_OF_MACHINE = 100
# From this progress on it is only about small prices, down to a temperature, in units of cost, that
# lets in only the smallest of them.
QUENCH_FROM = 0.85
LAST_TEMPERATURE_COST = 1.0
# A price of lacking room that nothing is worth: every assignment has the room that it needs.
STRICT = 1e12
# Where room may lack nothing is kept for long; up to this progress it may not, for a good start.
LEAD_IN = 0.03
# From this progress on a chain that still lacks room gives up and goes on from the best.
GIVE_UP_FROM = 0.93
# Where a search is cooled several times, fresh coolings have this share of its steps. The others
# start warm, at this progress of a cooling, from the best that was found.
FRESH_SHARE = 1 / 3
REWARMED_AT = 0.5
# From this progress on it is known how many steps there will be.
PACED_FROM = 0.005


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Heat:
    """What a round is run with.

    Attributes:
        temperature: In units of cost.
        held_price: Factor of what the room is worth that a moved process holds where it was.
        room_price: Factor of what it is worth that a machine has its fair room.
        lack_price: Of a unit of room that lacks, in units of cost; `STRICT` where none may.
    """

    temperature: float
    held_price: float
    room_price: float
    lack_price: float


class Recipe(NamedTuple):
    """How a kind of instance is cooled; pairs are at the start and where the quench begins.

    Attributes:
        temperature: As a share of what a mean process weighs.
        held_price: See `Heat`.
        room_price: See `Heat`.
        lack_price: See `Heat`; `STRICT` in the quench.
        ruin_share: Share of the steps that are ruins; the others are shifts, swaps and relays.
        relays: Of eight of those, see `annealing.anneal`.
        cooling_steps: Steps of each process from which on a slower cooling ends little better in
            the mean: where the large processes end is luck then.
        most_fresh: How many coolings start anew at most.
        most_rewarmed: How many start from the best that was found.
    """

    temperature: tuple[float, float]
    held_price: tuple[float, float]
    room_price: tuple[float, float]
    lack_price: tuple[float, float]
    ruin_share: float
    relays: int
    cooling_steps: int
    most_fresh: int
    most_rewarmed: int


MANY = Recipe((0.1, 0.001), (4.0, 0.05), (0.02, 0.0002), (STRICT, STRICT), 0.05, 0, 50, 1, 0)
SOME = MANY._replace(lack_price=(2.0, 2000.0), most_fresh=4, most_rewarmed=8)
FEW = Recipe((0.2, 0.02), (1.5, 0.02), (0.02, 0.0005), (2.0, 2000.0), 0.05, 2, 500, 1, 2)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Geometric cooling, once or several times over.

    Attributes:
        weight: Mean weight of a process: what it costs where all of it is above safety.
        recipe: How it is cooled.
        processes: How many there are.
        fresh: How many coolings start anew, at least one.
        rewarmed: How many follow that start warm from the best that was found.
    """

    weight: float
    recipe: Recipe
    processes: int = 1
    fresh: int = 1
    rewarmed: int = 0

    @property
    def coolings(self) -> int:
        """How often it is cooled."""
        return self.fresh + self.rewarmed

    def of_steps(self, steps: float) -> Schedule:
        """Returns the schedule for a search of so many steps."""
        room = steps / (self.recipe.cooling_steps * max(self.processes, 1))
        if room * FRESH_SHARE < 1:
            return dataclasses.replace(self, fresh=1, rewarmed=0)
        fresh = min(int(room * FRESH_SHARE), self.recipe.most_fresh)
        rewarmed = min(int(room * (1 - FRESH_SHARE)), self.recipe.most_rewarmed)
        return dataclasses.replace(self, fresh=fresh, rewarmed=rewarmed)

    def number(self, progress: float) -> int:
        """Returns which cooling it is, from 0."""
        return self._place(progress)[0]

    def is_rewarmed(self, number: int) -> bool:
        """Returns whether a cooling starts from the best, and no hotter than that can bear."""
        return number >= self.fresh

    def within(self, progress: float) -> float:
        """Returns the progress of the present cooling; only the first one has a lead-in."""
        number, share = self._place(progress)
        if number == 0:
            return share
        start = REWARMED_AT if self.is_rewarmed(number) else LEAD_IN
        return start + (1 - start) * share

    def _place(self, progress: float) -> tuple[int, float]:
        """Returns which cooling it is at a progress of the whole search, and the share done."""
        turn = FRESH_SHARE if self.rewarmed else 1.0
        done, count, earlier = progress / turn * self.fresh, self.fresh, 0
        if progress >= turn and self.rewarmed:
            done = (progress - turn) / (1 - turn) * self.rewarmed
            count, earlier = self.rewarmed, self.fresh
        number = min(int(done), count - 1)
        return earlier + number, done - number

    def at(self, progress: float) -> Heat:
        """Returns the heat at a progress of the whole search, from 0 to 1."""
        progress = self.within(progress)
        first, middle = (
            max(share * self.weight, LAST_TEMPERATURE_COST) for share in self.recipe.temperature
        )
        if progress >= QUENCH_FROM:
            return self._quench(middle, (progress - QUENCH_FROM) / (1 - QUENCH_FROM))
        if progress < LEAD_IN and self.recipe.lack_price[0] < STRICT:
            return self._quench(middle, progress / LEAD_IN)
        cooled = progress / QUENCH_FROM
        return Heat(
            temperature=_between((first, middle), cooled),
            held_price=_between(self.recipe.held_price, cooled),
            room_price=_between(self.recipe.room_price, cooled),
            lack_price=_between(self.recipe.lack_price, cooled),
        )

    def _quench(self, hottest: float, cooled: float) -> Heat:
        return Heat(
            temperature=_between((hottest, LAST_TEMPERATURE_COST), cooled),
            held_price=self.recipe.held_price[1] * (1 - cooled),
            room_price=0.0,
            lack_price=STRICT,
        )


def schedule(tables: states.Tables) -> Schedule:
    """Returns the schedule that fits the weights and the sizes of an instance."""
    weight = float(np.mean(np.maximum(tables.amount[:-1], 0).sum(axis=1)))
    of_machine = len(tables.process) / len(tables.ceiling)
    recipe = recipe_for(of_machine)
    return Schedule(weight=max(1.0, weight), recipe=recipe, processes=len(tables.process))


def recipe_for(of_machine: float) -> Recipe:
    """Returns how instances with so many processes a machine are cooled."""
    if of_machine <= FEW_OF_MACHINE:
        return FEW
    return SOME if of_machine <= SOME_OF_MACHINE else MANY


def _between(ends: tuple[float, float], share: float) -> float:
    first, last = ends
    return float(first * (last / first) ** share)


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
        self._coolings = 1
        self.steps_done = 0

    def cut(self, coolings: int) -> None:
        """Makes rounds so much shorter that each cooling has as many as a single one would."""
        self._coolings = coolings

    def whole_steps(self) -> float:
        """Returns how many steps there will be in all at the pace so far."""
        if not self._timed:
            return self._most
        return min(self._most, self.steps_done * self._seconds / max(self._elapsed(), 1e-9))

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
        wanted = min(max(self._seconds * ROUND_SHARE, low), high) / self._coolings
        wanted = min(wanted, max(self._seconds - (now - self._start), 0.0))
        factor = min(max(wanted / took, 0.1), 4.0)
        self._size = min(max(int(steps * factor), 1), MOST_ROUND_STEPS)

    def _elapsed(self) -> float:
        return self._clock() - self._start
