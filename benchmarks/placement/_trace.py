"""Writes how the gap of plans falls over time; `docs/` draws its pictures from such files."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

from benchmarks.placement import _fleet
from placement.assignment.effort import Incumbent


class Trace:
    """Appends a line to a CSV file for each better plan; without a file it does nothing."""

    def __init__(self, path: str) -> None:
        self._path = Path(path) if path else None

    def of(self, instance: _fleet.Instance) -> Callable[[Incumbent], bool]:
        """Return what is to be told of every incumbent of one instance."""
        best = math.inf

        def watch(incumbent: Incumbent) -> bool:
            nonlocal best
            bound = instance.known_bound or incumbent.bound
            if bound > 0 and incumbent.cost < best:
                best = incumbent.cost
                self._write(instance, incumbent.seconds, 100.0 * (incumbent.cost - bound) / bound)
            return True

        return watch

    def _write(self, instance: _fleet.Instance, seconds: float, gap_percent: float) -> None:
        if self._path is None:
            return
        is_new = not self._path.exists()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="ascii", newline="") as file:
            if is_new:
                file.write("tasks,seed,seconds,gap_percent\n")
            file.write(f"{instance.tasks},{instance.seed},{seconds:.2f},{gap_percent:.4f}\n")
