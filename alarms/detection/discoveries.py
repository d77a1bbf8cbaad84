"""Control of false discoveries over models that are tested again and again, for ever.

Procedures that spend one budget over all tests that will ever come (LORD and its kin) leave next
to nothing for the later ones. Here time is cut into periods: each model has one p-value for its
newest period (the smallest, corrected for the tests in it), and those of all models go through
the step-up procedure of Benjamini and Hochberg (1995). Where nothing ever drifts there is at most
about one false discovery in 1 / rate periods, over all models together.
"""

from __future__ import annotations

import bisect
from collections import deque

PERIOD_TESTS = 60
"""Tests of a model that make a period: with one a day, two months."""


class FleetDiscoveries:
    """Says which p-values are discoveries; memory is bounded per model.

    The expected share of false discoveries of a period is at most `rate`, while the p-values of
    models that did not drift are positively dependent at most (Benjamini and Yekutieli 2001).
    """

    def __init__(self, rate: float, *, period_tests: int = PERIOD_TESTS) -> None:
        self._rate = rate
        self._period_tests = period_tests
        self._newest: dict[str, deque[float]] = {}
        self._of_period: dict[str, float] = {}
        self._sorted: list[float] = []

    @property
    def level(self) -> float:
        """Level that a single test must reach now to be a discovery."""
        count = len(self._sorted)
        if not count:
            return self._rate / self._period_tests
        reached = 1
        for rank in range(count, 1, -1):
            if self._sorted[rank - 1] <= self._rate * rank / count:
                reached = rank
                break
        return self._rate * reached / count / self._period_tests

    def test(self, model: str, p_value: float) -> bool:
        """Count a test of a model; return whether it is a discovery.

        What was discovered lends level to others for a period.
        """
        known = self._newest.get(model)
        if known is None:
            known = self._newest[model] = deque(maxlen=self._period_tests)
        else:
            before = self._of_period[model]
            del self._sorted[bisect.bisect_left(self._sorted, before)]
        known.append(p_value)
        smallest = min(1.0, self._period_tests * min(known))
        self._of_period[model] = smallest
        bisect.insort(self._sorted, smallest)
        return p_value <= self.level
