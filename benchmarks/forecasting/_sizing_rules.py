# All rules are asked alike, and most of them look at less than they are told.
# ruff: noqa: ARG002
"""Published rules for the memory of a task's first try and of its retries, as ports.

Each is told every finished run of a task in order (input size, memory, hours) and asked what to
hold for the next one. All are written from the papers:

* `TovarPPM`: Tovar et al., TPDS 2018, "A job sizing strategy for high-throughput scientific
  workflows": the first allocation that costs least in expectation over the runs seen, weighted by
  run time; a failed try is repeated with the largest value seen.
* `WittPercentile`, `WittRegression`: Witt et al., HPCS 2019 / IPDPS 2019: a percentile of what was
  seen, or linear regression on the input size plus an offset (one standard deviation of the errors,
  that of the under-estimates only, or the largest under-estimate); a failed try is doubled.
* `Vpa`: Kubernetes' vertical pod autoscaler: P90 of a histogram with 5 % buckets plus 15 %;
  after running out of memory, the larger of 1.2 times and 100 MiB more.
* `Krr`: robusta-dev/krr, `simple`: the largest value seen plus 15 %; after running out of memory,
  at least 1.25 times what was held.
"""

import bisect
import math
from collections.abc import Callable
from typing import Protocol

import numpy as np

MIB_GB = 2.0**20 / 1e9


class Rule(Protocol):
    """What every rule answers."""

    def first_try(self, size: float) -> float:
        """Returns the GB to hold for a run of this input size."""
        ...

    def next_try(self, failed_gb: float) -> float:
        """Returns the GB to hold after so many were too few."""
        ...

    def update(self, size: float, memory_gb: float, hours: float) -> None:
        """Learns a finished run."""
        ...


class _Seen:
    """Runs that were seen, as lists."""

    def __init__(self) -> None:
        self.sizes: list[float] = []
        self.memory: list[float] = []
        self.hours: list[float] = []

    def update(self, size: float, memory_gb: float, hours: float) -> None:
        """Learns a finished run."""
        self.sizes.append(size)
        self.memory.append(memory_gb)
        self.hours.append(hours)

    @property
    def most(self) -> float:
        """The largest value seen."""
        return max(self.memory)


class TovarPPM(_Seen):
    """The allocation of least expected cost, then the largest value seen."""

    def first_try(self, size: float) -> float:
        """Returns the value seen that minimises allocated memory over time."""
        order = np.argsort(self.memory, kind="stable")
        memory, hours = np.array(self.memory)[order], np.array(self.hours)[order]
        later = np.concatenate([np.cumsum(hours[::-1])[::-1][1:], [0.0]])
        # Equal values succeed together: what is later than the last of them fails.
        last = np.searchsorted(memory, memory, side="right") - 1
        cost = memory * hours.sum() + memory[-1] * later[last]
        return float(memory[int(np.argmin(cost))])

    def next_try(self, failed_gb: float) -> float:
        """Returns the largest value seen, doubled where that has failed."""
        return self.most if self.most > failed_gb else 2.0 * failed_gb


class WittPercentile(_Seen):
    """A percentile of the values seen, then doubled."""

    def __init__(self, percentile: float = 95.0) -> None:
        super().__init__()
        self._percentile = percentile

    def first_try(self, size: float) -> float:
        """Returns the percentile."""
        return float(np.percentile(self.memory, self._percentile))

    def next_try(self, failed_gb: float) -> float:
        """Returns twice what failed."""
        return 2.0 * failed_gb


class WittRegression(_Seen):
    """Linear regression on the input size plus an offset, then doubled."""

    def __init__(self, offset: str) -> None:
        super().__init__()
        self._offset = offset

    def first_try(self, size: float) -> float:
        """Returns the line at this size plus the offset, at least the smallest value seen."""
        sizes, memory = np.array(self.sizes), np.array(self.memory)
        spread = sizes.var()
        slope = float(np.cov(sizes, memory, bias=True)[0, 1] / spread) if spread > 0 else 0.0
        level = float(memory.mean() - slope * sizes.mean())
        errors = memory - (level + slope * sizes)
        under = errors[errors > 0]
        offsets = {
            "std": float(errors.std()),
            "std of under-estimates": float(under.std()) if len(under) else 0.0,
            "largest under-estimate": float(max(errors.max(), 0.0)),
        }
        return max(level + slope * size + offsets[self._offset], float(memory.min()))

    def next_try(self, failed_gb: float) -> float:
        """Returns twice what failed."""
        return 2.0 * failed_gb


class Vpa:
    """P90 of a histogram with buckets that grow by 5 %, plus 15 %.

    One sample a run; runs have no calendar time here, so that nothing decays.
    """

    FIRST_GB = 0.01
    GROWTH = 1.05
    PERCENTILE = 0.9
    MARGIN = 1.15

    def __init__(self) -> None:
        self._buckets: list[int] = []

    def first_try(self, size: float) -> float:
        """Returns the upper edge of the bucket at P90 with the margin."""
        place = self._buckets[math.ceil(self.PERCENTILE * len(self._buckets)) - 1]
        return self.edge(place + 1) * self.MARGIN

    def next_try(self, failed_gb: float) -> float:
        """Returns the larger of 1.2 times and 100 MiB more."""
        return max(1.2 * failed_gb, failed_gb + 100 * MIB_GB)

    def update(self, size: float, memory_gb: float, hours: float) -> None:
        """Learns a finished run."""
        bisect.insort(self._buckets, self.bucket(memory_gb))

    def edge(self, bucket: int) -> float:
        """Returns where a bucket starts."""
        return self.FIRST_GB * (self.GROWTH**bucket - 1.0) / (self.GROWTH - 1.0)

    def bucket(self, memory_gb: float) -> int:
        """Returns the bucket of a value."""
        if memory_gb < self.FIRST_GB:
            return 0
        inside = memory_gb * (self.GROWTH - 1.0) / self.FIRST_GB + 1.0
        return int(math.log(inside) / math.log(self.GROWTH))


class Krr(_Seen):
    """The largest value seen plus 15 %."""

    def first_try(self, size: float) -> float:
        """Returns the largest value with its margin."""
        return 1.15 * self.most

    def next_try(self, failed_gb: float) -> float:
        """Returns 1.25 times what failed."""
        return max(1.15 * self.most, 1.25 * failed_gb)


def rules() -> dict[str, Callable[[], Rule]]:
    """Returns what makes each rule anew, by its name."""
    return {
        "Tovar-PPM": TovarPPM,
        "Witt P95": WittPercentile,
        "Witt regression + std": lambda: WittRegression("std"),
        "Witt regression + std of under": lambda: WittRegression("std of under-estimates"),
        "Witt regression + largest under": lambda: WittRegression("largest under-estimate"),
        "VPA": Vpa,
        "KRR": Krr,
    }
