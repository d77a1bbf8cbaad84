"""Faults of pipelines, drawn from a seed: what goes wrong, when, how much, and what would help.

Every fault has a kind (`CauseKind`) and says whether a training cures it. Around them stand
changes that break nothing, and dips of quality that pass, which nothing should be done about.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from engine.model.alarms import CauseKind

NORMAL_WINDOWS = 260
"""Windows before any fault: a day and three quarters of ten minutes each."""
WINDOWS = 480
FAULTS = (
    "unit",
    "population",
    "source",
    "concept",
    "sinking concept",
    "slow code",
    "failing code",
    "worse code",
    "slow configuration",
    "worse configuration",
    "lost cluster",
    "demand",
    "passing dip",
    "nothing",
)
KINDS = {
    "unit": CauseKind.DATA,
    "population": CauseKind.DATA,
    "source": CauseKind.DATA,
    "concept": CauseKind.MODEL,
    "sinking concept": CauseKind.MODEL,
    "slow code": CauseKind.CODE,
    "failing code": CauseKind.CODE,
    "worse code": CauseKind.CODE,
    "slow configuration": CauseKind.CONFIGURATION,
    "worse configuration": CauseKind.CONFIGURATION,
    "lost cluster": CauseKind.INFRASTRUCTURE,
    "demand": CauseKind.DEMAND,
}
CURED = frozenset({"unit", "population", "concept", "sinking concept"})
"""Faults that a training cures."""
DEPLOYED = tuple(name for name, kind in KINDS.items() if kind is CauseKind.CODE)
MOVED = tuple(name for name, kind in KINDS.items() if kind is CauseKind.MODEL)
BY_KIND = tuple(
    tuple(name for name, found in KINDS.items() if found is kind)
    for kind in dict.fromkeys(KINDS.values())
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What happens to one pipeline.

    name: one of `FAULTS`; begins, ends: windows; ramp: windows until it is full.
    loss: of quality; factor: of latency or load; share: of requests that fail.
    routine: windows after its begin in which a routine deployment comes for certain, 0 for one
        just before it; None for none but those that come at random.
    """

    name: str
    begins: int
    ends: int
    ramp: int = 1
    loss: float = 0.0
    factor: float = 1.0
    share: float = 0.0
    routine: int | None = None

    def part(self, window: int) -> float:
        """Return how much of the fault is there, between 0 and 1."""
        if not self.begins <= window < self.ends:
            return 0.0
        return min(1.0, (window - self.begins + 1) / self.ramp)


def drawn(random: np.random.Generator, count: int) -> list[Fault]:
    """Return faults of so many pipelines: of different kinds each, some harmless."""
    kinds = [BY_KIND[i] for i in random.permutation(len(BY_KIND))]
    names = [str(random.choice(list(kind))) for kind in kinds[: count - 1]]
    names.append(str(random.choice(["passing dip", "nothing"])))
    return [fault(name, random) for name in names]


def beside(random: np.random.Generator, count: int) -> list[Fault]:
    """Return faults that are easily blamed on the wrong deployment, or hidden by one, in turns.

    A concept that moves just after a routine deployment, and a deployment that broke something
    with a routine one within eight windows after it.
    """
    found: list[Fault] = []
    for number in range(count):
        is_moved = number % 2 == 0
        made = fault(str(random.choice(MOVED if is_moved else DEPLOYED)), random)
        routine = 0 if is_moved else int(random.integers(1, 9))
        found.append(dataclasses.replace(made, routine=routine))
    return found


def fault(name: str, random: np.random.Generator) -> Fault:
    """Return a fault of this name with drawn time and size."""
    begins = int(random.integers(NORMAL_WINDOWS, NORMAL_WINDOWS + 40))
    lasts = int(random.integers(25, 50))
    if name in CURED:
        lasts = WINDOWS
    if name == "passing dip":
        lasts = int(random.integers(3, 10))
    loses = name in CURED or name.startswith("worse") or name == "passing dip"
    slows = name.startswith("slow") or name == "demand"
    return Fault(
        name=name,
        begins=begins,
        ends=begins + lasts,
        ramp=int(random.integers(15, 45)) if name == "sinking concept" else 1,
        loss=float(random.uniform(0.08, 0.22)) if loses else 0.0,
        factor=float(random.uniform(2.2, 4.5)) if slows else 1.0,
        share=float(random.uniform(0.06, 0.3)) if name == "failing code" else 0.0,
    )
