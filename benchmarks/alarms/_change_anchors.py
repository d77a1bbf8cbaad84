"""Two detectors of change that others use, from their papers, as anchors.

Page-Hinkley (Page 1954, Hinkley 1971) with the usual defaults of stream libraries: 30 values
first, allowance 0.005, threshold 50, forgetting 0.9999. ADWIN (Bifet and Gavalda 2007) with
confidence 0.002 and five buckets a row. Both begin anew after an alarm.
"""

from __future__ import annotations

import math


class PageHinkley:
    """Cumulative sums of differences to the running mean, in both directions."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._count = 0
        self._mean = self._up = self._down = 0.0
        self._least_up = self._most_down = 0.0

    def observe(self, value: float) -> bool:
        """Return whether the mean has changed."""
        self._count += 1
        self._mean += (value - self._mean) / self._count
        difference = value - self._mean
        self._up = 0.9999 * self._up + difference - 0.005
        self._down = 0.9999 * self._down + difference + 0.005
        self._least_up = min(self._least_up, self._up)
        self._most_down = max(self._most_down, self._down)
        far = max(self._up - self._least_up, self._most_down - self._down)
        if self._count < 30 or far <= 50:
            return False
        self._begin()
        return True


class Adwin:
    """An adaptive window in an exponential histogram, cut where two parts have unlike means."""

    confidence = 0.002
    buckets_a_row = 5
    clock = 32
    least_values = 5

    def __init__(self) -> None:
        # By row, oldest bucket first: sums and sums of squared differences of 2**row values.
        self._rows: list[list[tuple[float, float]]] = [[]]
        self._count = 0
        self._seen = 0

    def observe(self, value: float) -> bool:
        """Return whether the window was cut because its newer part has a larger or smaller mean."""
        self._seen += 1
        self._count += 1
        self._rows[0].append((value, 0.0))
        self._compress()
        return self._seen % self.clock == 0 and self._count > 2 * self.least_values and self._cut()

    def _compress(self) -> None:
        for number, row in enumerate(self._rows):
            if len(row) <= self.buckets_a_row:
                return
            (first, first_spread), (second, second_spread) = row[:2]
            del row[:2]
            size = 2**number
            gap = (first - second) / size
            merged = first + second, first_spread + second_spread + gap * gap * size / 2
            if number + 1 == len(self._rows):
                self._rows.append([])
            self._rows[number + 1].append(merged)

    def _cut(self) -> bool:
        """Drop the oldest bucket as long as some cut shows two means."""
        cut = False
        while self._count > 2 * self.least_values and self._differs():
            number = len(self._rows) - 1
            del self._rows[number][0]
            self._count -= 2**number
            if not self._rows[number]:
                del self._rows[number]
            cut = True
        return cut

    def _differs(self) -> bool:
        total = sum(entry for row in self._rows for entry, _ in row)
        mean = total / self._count
        variance = self._variance(mean)
        old_count, old_total = 0, 0.0
        delta = math.log(2 * math.log(self._count) / self.confidence)
        for number in range(len(self._rows) - 1, -1, -1):
            for entry, _ in self._rows[number]:
                old_count += 2**number
                old_total += entry
                new_count = self._count - old_count
                if min(old_count, new_count) < self.least_values:
                    continue
                gap = abs(old_total / old_count - (total - old_total) / new_count)
                harmonic = 1 / (old_count - 4) + 1 / (new_count - 4)
                bound = math.sqrt(2 * harmonic * variance * delta) + 2 / 3 * delta * harmonic
                if gap > bound:
                    return True
        return False

    def _variance(self, mean: float) -> float:
        spread = 0.0
        for number, row in enumerate(self._rows):
            size = 2**number
            for entry, inside in row:
                spread += inside + size * (entry / size - mean) ** 2
        return spread / self._count
