"""The scenarios of driftfdr 0.1.1 (PyPI), its own alarms on them, and a scorer of ours for both.

The library is installed into an environment of its own (`benchmarks.serving._peers`) and run there
(`_driftfdr_runs`). Scores follow its experiment 21. F1 by events: the first alarm of a model within
1,000 steps after its change is right, every other alarm is wrong; the mean over scenarios, as it
reports it. Share of false alarms, pooled: an alarm is false where nothing changed since the
model's last alarm; one that comes after more than 1,000 steps is late, not false.
"""

from __future__ import annotations

import statistics
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.serving import _peers

PEER = _peers.Peer("driftfdr", ("driftfdr==0.1.1",))
SCRIPT = Path(__file__).with_name("_driftfdr_runs.py")
RIGHT_WITHIN = 1_000
SECONDS_MAX = 7_200

Alarm = tuple[int, int]
"""Model and step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Some models: values of shape (models, steps), each one's change (-1: never), alarms."""

    case: str
    values: NDArray[np.float32]
    begins: NDArray[np.int64]
    ends: NDArray[np.int64]
    by_driftfdr: tuple[Alarm, ...]
    by_hinkley: tuple[Alarm, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """F1 over scenarios in which something changes; right, false and all alarms, pooled."""

    f1: float
    right: int
    false: int
    alarms: int

    @property
    def false_share(self) -> float:
        """Share of all alarms that are false, in percent."""
        return 100 * self.false / max(1, self.alarms)


def scenarios(folder: Path, models: int, seeds: int) -> Iterator[Scenario]:
    """Yield the suite; nothing where the library cannot be had.

    models: of each scenario; seeds: of each of the 25 cases, 4 in the library's own figures.
    """
    python = _peers.interpreter(PEER)
    if python is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    command = [str(python), str(SCRIPT), str(folder), str(models), str(seeds)]
    subprocess.run(command, check=True, timeout=SECONDS_MAX)
    yield from read(folder)


def read(folder: Path) -> Iterator[Scenario]:
    """Yield the scenarios that were written to a folder."""
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as found:
            yield Scenario(
                case=str(found["case"]),
                values=found["values"],
                begins=found["begins"],
                ends=found["ends"],
                by_driftfdr=_alarms(found["driftfdr"]),
                by_hinkley=_alarms(found["hinkley"]),
            )


def _alarms(rows: NDArray[np.int64]) -> tuple[Alarm, ...]:
    return tuple((int(model), int(step)) for model, step in rows)


def score(found: Sequence[tuple[Scenario, Sequence[Alarm]]]) -> Score:
    """Score the alarms of each scenario."""
    rates: list[float] = []
    for scenario, alarms in found:
        drifts = int((scenario.begins >= 0).sum())
        if drifts:
            rates.append(2 * right(scenario, alarms) / (len(alarms) + drifts))
    return Score(
        f1=statistics.fmean(rates),
        right=sum(right(*each) for each in found),
        false=sum(false(*each) for each in found),
        alarms=sum(len(alarms) for _, alarms in found),
    )


def right(scenario: Scenario, alarms: Sequence[Alarm]) -> int:
    """Return how many alarms are the first of their model in time after its change."""
    first: dict[int, int] = {}
    for model, step in sorted(alarms, key=lambda alarm: alarm[1]):
        if 0 <= scenario.begins[model] < step:
            first.setdefault(model, step)
    return sum(bool(step - scenario.begins[model] <= RIGHT_WITHIN) for model, step in first.items())


def false(scenario: Scenario, alarms: Sequence[Alarm]) -> int:
    """Return how many alarms come although nothing changed since the last one of their model."""
    before: dict[int, int] = {}
    found = 0
    for model, step in sorted(alarms, key=lambda alarm: alarm[1]):
        begin, end = scenario.begins[model], scenario.ends[model]
        found += not (begin >= 0 and begin < step and before.get(model, 0) < end)
        before[model] = step
    return found
