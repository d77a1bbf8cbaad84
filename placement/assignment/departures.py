"""The pace of a re-plan: cycles of cooling that grow, and a price that holds departures down.

A re-plan is stopped at any moment, so it cools in cycles, each twice as long as the one before and
each from the best plan so far. Most units that may leave their bin are a hard limit; a search that
only knows the limit spends it on the first small gains that it meets. So each departure also costs
a price of its own, which starts above what most moves gain and falls while the limit is far: the
moves that gain most come first. Method: Lagrangian relaxation of one constraint (Fisher 1981), its
multiplier adjusted between rounds of annealing.
"""

from __future__ import annotations

from dataclasses import dataclass

# Rounds without heat at first, and the steps of each: a first answer comes at once.
FIRST_ROUNDS, FIRST_STEPS = 2, 500
# Rounds of the first cycle.
CYCLE_ROUNDS = 8
# Temperatures at the start and at the end of a cycle, in units of `annealing.scale_of`.
HOT, COLD = 0.02, 0.002
# The price of a departure at first in the same units, and how it changes after a round.
FIRST_PRICE = 1.0
FALL, RISE = 0.7, 1.2
# The price rises once this share of the limit is used.
NEARLY = 0.97


@dataclass(slots=True, kw_only=True)
class Pace:
    """Where one walk of a re-plan is in its cycles, and what a departure costs it.

    Attributes:
        price: Of a departure, in units of `annealing.scale_of`, beside what moves cost anyway.
        rounds: Rounds walked so far.
    """

    price: float = FIRST_PRICE
    rounds: int = 0

    @property
    def heat(self) -> float:
        """Return the temperature of this round, in units of `annealing.scale_of`."""
        if self.rounds < FIRST_ROUNDS:
            return 0.0
        place, length = self._place()
        return float(HOT * (COLD / HOT) ** (place / length))

    @property
    def begins(self) -> bool:
        """Return whether a cycle begins, which goes on from the best plan."""
        return self.rounds >= FIRST_ROUNDS and self._place()[0] == 0

    def steps(self, most: int) -> int:
        """Return the steps of this round."""
        return min(most, FIRST_STEPS) if self.rounds < FIRST_ROUNDS else most

    def done(self, departed: int, most: int) -> None:
        """Count a round after which so many units have left their bin, of so many that may."""
        self.rounds += 1
        self.price *= FALL if departed < NEARLY * most else RISE

    def _place(self) -> tuple[int, int]:
        """Return the number of this round in its cycle, and the cycle's length."""
        place, length = self.rounds - FIRST_ROUNDS, CYCLE_ROUNDS
        while place >= length:
            place -= length
            length *= 2
        return place, length
