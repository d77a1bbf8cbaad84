"""Which trial runs next: asynchronous successive halving (ASHA).

After L. Li et al., "A system for massively parallel hyperparameter tuning" (MLSys 2020). Trials
that reached a rung are ranked by loss; the best of every `eta` go on to the next rung, which allows
`eta` times as many epochs. Nobody waits for a rung to be full.

One thing differs. The paper promotes wherever it can and starts a new trial only where it cannot,
because its trials never run out. Here their number is known, so each of them will run the first
rung anyway: lower rungs come first, and promotions are decided among more rivals. A worker that
would stand idle promotes with what is known, as in the paper.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a trial stands.

    losses: by epoch, those reported; goal: epochs it was last asked for.
    running: whether a process works on it; out: whether it failed for good.
    """

    number: int
    losses: Mapping[int, float]
    goal: int
    running: bool = False
    out: bool = False

    def reached(self, epochs: int) -> bool:
        """Whether so many epochs are behind it."""
        return epochs in self.losses

    @property
    def interrupted(self) -> bool:
        """Whether it was asked for more than it has, and nobody works on it."""
        return not self.out and not self.running and not self.reached(self.goal)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A trial and the epochs it shall reach. A number not known yet is a new trial."""

    number: int
    goal: int


def rungs(epochs: int, eta: int | None) -> tuple[int, ...]:
    """Return the epochs of each rung, the last `epochs`; a single one without pruning.

    >>> rungs(9, 3)
    (1, 3, 9)
    >>> rungs(20, 3)
    (2, 6, 20)
    >>> rungs(9, None)
    (9,)
    """
    if eta is None:
        return (epochs,)
    found = [epochs]
    while found[0] >= eta:
        found.insert(0, found[0] // eta)
    return tuple(found)


def next_job(
    standings: Sequence[Standing], ladder: Sequence[int], *, eta: int | None, trials: int
) -> Job | None:
    """Return what a free worker does; None when there is nothing to do now."""
    for level, goal in enumerate(ladder):
        for standing in standings:
            if standing.interrupted and standing.goal == goal:
                return Job(number=standing.number, goal=goal)
        if level == 0:
            if len(standings) < trials:
                return Job(number=len(standings), goal=goal)
            continue
        found = _promotable(standings, ladder[level - 1], goal, eta=eta or 1)
        if found is not None:
            return Job(number=found, goal=goal)
    return None


def _promotable(standings: Sequence[Standing], rung: int, goal: int, *, eta: int) -> int | None:
    """Return the best trial that has reached a rung, may go on, and was not sent on yet."""
    there = [s for s in standings if s.reached(rung) and not s.out]
    there.sort(key=lambda s: (s.losses[rung], s.number))
    to_come = any(not s.out and not s.reached(rung) and s.goal == rung for s in standings)
    # With too few for one place, the best still goes on once nobody else can come.
    places = len(there) // eta if to_come else max(len(there) // eta, min(len(there), 1))
    for standing in there[:places]:
        if standing.goal < goal and not standing.running:
            return standing.number
    return None


def epochs_of_halving(trials: int, ladder: Sequence[int], eta: int) -> int:
    """Return the epochs when nobody is promoted who should not be.

    >>> epochs_of_halving(27, (1, 3, 9), 3)
    63
    """
    total, left, before = 0, trials, 0
    for goal in ladder:
        total += left * (goal - before)
        left, before = max(left // eta, 1), goal
    return total


def best(standings: Sequence[Standing]) -> tuple[int, float]:
    """Return the trial with the lowest loss of any epoch, and that loss; (-1, inf) without any."""
    scores = [(loss, s.number) for s in standings if not s.out for loss in s.losses.values()]
    if not scores:
        return -1, math.inf
    loss, number = min(scores)
    return number, loss
