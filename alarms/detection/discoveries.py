"""Control of false discoveries over tests that come one after another, in constant memory."""

from __future__ import annotations

import math
from collections import deque

REMEMBERED = 64
"""Newest discoveries that lend level to later tests; forgetting older ones is on the safe side."""
NORMALISER = 0.0722
"""Makes the weights of the tests add up to one (Javanmard and Montanari 2018)."""


class OnlineDiscoveries:
    """LORD++ (Ramdas et al. 2017): each test has its level; a discovery lends level to later ones.

    The expected share of false discoveries among all is at most `rate`, whatever their number,
    while the p-values of true nulls are independent of the earlier decisions.
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._first_wealth = rate / 2
        self._tests = 0
        self._found = 0
        self._first: int | None = None
        self._later: deque[int] = deque(maxlen=REMEMBERED)

    @property
    def level(self) -> float:
        """Level of the next test."""
        test = self._tests + 1
        level = self._first_wealth * _weight(test)
        if self._first is not None:
            level += (self._rate - self._first_wealth) * _weight(test - self._first)
        return level + self._rate * sum(_weight(test - found) for found in self._later)

    def test(self, p_value: float) -> bool:
        """Return whether a p-value is a discovery, and count the test."""
        is_discovery = p_value <= self.level
        self._tests += 1
        if is_discovery:
            if self._first is None:
                self._first = self._tests
            else:
                self._later.append(self._tests)
        return is_discovery


def _weight(lag: int) -> float:
    """Return the share of wealth spent on the test `lag` after a discovery; they add up to one."""
    return NORMALISER * math.log(max(lag, 2)) / (lag * math.exp(math.sqrt(math.log(lag))))
