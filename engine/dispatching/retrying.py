"""What follows a failed attempt: another one, with more memory perhaps, or the end. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from engine.model.dispatches import (
    INFRASTRUCTURE_REASONS,
    RETRYABLE_REASONS,
    Attempt,
    AttemptState,
)
from engine.model.profiles import Profile
from engine.model.remedies import FailureCause
from engine.model.resources import Resource
from engine.model.specs import TaskKind, TaskSpec

MEMORY_GROWTH = 1.5
"""Factor on the memory of the attempt after one that ran out of it."""

HELD_LEVEL = 0.99
"""Level of the profile at which plans hold memory."""

MOST_ATTEMPTS = 50
"""Bounds attempts of a task in a run, those that were lost with their cluster included."""

_FIRST_PAUSE_SECONDS = 1.0
_LAST_PAUSE_SECONDS = 60.0
_DOUBLINGS = 16  # 2 ** 16 s is far above the longest pause.
_SERVING_WINDOW_SECONDS = 3_600.0
# A server runs for months; failures long ago say nothing about whether it can be started.


def may_retry(task: TaskSpec, attempts: Sequence[Attempt], now: float) -> bool:
    """Return whether another attempt may follow the last of `attempts`, which has ended.

    An attempt lost with its cluster, or that its cluster or somebody outside ended, does not count
    as a failure of the task. Whether it is worth it, and with what, is for `remedying`.
    """
    last = attempts[-1]
    if len(counted(task, attempts, now)) >= MOST_ATTEMPTS:
        return False
    if last.state is AttemptState.LOST:
        return True
    return last.reason in RETRYABLE_REASONS and failures(task, attempts, now) <= task.retries


def counted(task: TaskSpec, attempts: Sequence[Attempt], now: float) -> Sequence[Attempt]:
    """Return the attempts that count: of a server those of the last hour, else all."""
    if task.kind is not TaskKind.SERVE:
        return attempts
    return [each for each in attempts if now - each.intended_at < _SERVING_WINDOW_SECONDS]


def pause_seconds(failures: int) -> float:
    """Return how long to wait after so many failures in a row, from 1: doubling, to a limit."""
    return min(_FIRST_PAUSE_SECONDS * 2.0 ** min(failures - 1, _DOUBLINGS), _LAST_PAUSE_SECONDS)


def failures(task: TaskSpec, attempts: Sequence[Attempt], now: float) -> int:
    """Return how many attempts count as failures of the task itself."""
    return sum(not _is_of_others(each) for each in counted(task, attempts, now))


def _is_of_others(attempt: Attempt) -> bool:
    """Return whether an attempt failed for no fault of its task."""
    if attempt.state is AttemptState.LOST or attempt.reason in INFRASTRUCTURE_REASONS:
        return True
    remedy = attempt.remedy
    return remedy is not None and remedy.diagnosis.cause is FailureCause.INFRASTRUCTURE


def tries(task: TaskSpec, attempts: Sequence[Attempt], now: float) -> int:
    """Return how many attempts ended, whoever was at fault, but for those lost with a cluster."""
    return sum(each.state is not AttemptState.LOST for each in counted(task, attempts, now))


def memory_factor(ran_out: int, profile: Profile | None = None) -> float:
    """Return by how much the planned memory has to grow for the next attempt.

    ran_out: so many attempts ran out of memory.
    profile: of the task; says what each try after one that ran out of memory should hold. Without
        it, or beyond its last try, memory grows by the same factor each time.
    """
    if profile is None or not ran_out:
        return float(MEMORY_GROWTH**ran_out)
    planned = profile.peak(Resource.MEMORY, HELD_LEVEL)
    told = [gib / planned for gib in profile.memory_retries_gib if gib > planned > 0]
    if not told:
        return float(MEMORY_GROWTH**ran_out)
    beyond = max(ran_out - len(told), 0)
    return float(told[min(ran_out, len(told)) - 1] * MEMORY_GROWTH**beyond)
