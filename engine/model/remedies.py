"""What a failed attempt failed of, and what the next one changes: a remedy with its evidence.

Rules say the cause (`engine.dispatching.diagnosing`), a chooser says what to change and whether
another attempt is worth it (the port `RemedyChooser`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from engine.model.identifiers import MicroDollars
from engine.model.specs import TaskKind


class FailureCause(StrEnum):
    """Why an attempt failed, as far as rules can tell."""

    OUT_OF_MEMORY = "out of memory"
    OUT_OF_GPU_MEMORY = "out of GPU memory"
    DISK_FULL = "disk full"
    MISSING_INPUT = "missing input"
    USER_ERROR = "user error"
    TIMED_OUT = "time-out"
    INFRASTRUCTURE = "infrastructure"
    HOPELESS = "hopeless"
    """The same again and again, or more than any machine has."""
    UNKNOWN = "unknown"


NEVER_AGAIN = frozenset(
    {FailureCause.USER_ERROR, FailureCause.MISSING_INPUT, FailureCause.HOPELESS}
)
"""Causes that another attempt cannot mend."""


class RemedyStep(StrEnum):
    """What the next attempt changes."""

    NONE = "no retry"
    SAME = "the same again"
    MORE_MEMORY = "more memory"
    SMALLER_BATCH = "a smaller batch"
    OTHER_MACHINE = "another kind of machine"
    MORE_DISK = "more disk"
    MORE_TIME = "more time"


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """The cause of a failure.

    rule: which rule said so, in words. words: the line of the log that it went by, "" without.
    """

    cause: FailureCause
    rule: str
    words: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """What an attempt gets in place of what was planned; what is None is as planned.

    memory_gib, disk_gib: of the whole task, on all of its nodes. time_factor: on the time limit.
    cluster, pool: where it runs; "" for the place of the plan.
    """

    memory_gib: float | None = None
    disk_gib: float | None = None
    batch_size: int | None = None
    time_factor: float = 1.0
    cluster: str = ""
    pool: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One thing that the next attempt could change.

    success: estimated probability that this attempt succeeds. cost_micro_dollars: expected, of
        this attempt and of those after it, at the prices of the fleet.
    """

    step: RemedyStep
    configuration: Configuration
    success: float
    cost_micro_dollars: MicroDollars


@dataclass(frozen=True, slots=True, kw_only=True)
class Remedy:
    """What follows a failed attempt, and why.

    configuration: of the next attempt; None where none follows or nothing changes.
    success, cost_micro_dollars: as in `Option`, of the chosen one; None where rules decided alone.
    options: what was weighed, the chosen one first. learned_from: past retries that the estimate
        of success rests on, and runs that the one of memory rests on.
    """

    diagnosis: Diagnosis
    step: RemedyStep
    why: str
    configuration: Configuration | None = None
    success: float | None = None
    cost_micro_dollars: MicroDollars | None = None
    options: tuple[Option, ...] = ()
    learned_from: int = 0

    @property
    def retries(self) -> bool:
        """Whether another attempt follows."""
        return self.step is not RemedyStep.NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """An attempt that followed a failure, with what came of it: what choosers learn from.

    repeat: how many failures of the same cause stood before it in its run, from 1.
    words: of the failure before it, without the numbers in them.
    """

    pipeline: str
    task: str
    kind: TaskKind
    cause: FailureCause
    step: RemedyStep
    repeat: int
    succeeded: bool
    ended_at: float
    words: str = ""
