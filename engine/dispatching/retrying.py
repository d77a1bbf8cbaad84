"""What follows a failed attempt: another one, with more memory perhaps, or the end. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from engine.model.dispatches import RETRYABLE_REASONS, Attempt, AttemptState, Reason
from engine.model.specs import TaskKind, TaskSpec

MEMORY_GROWTH = 1.5
"""Factor on the memory of the attempt after one that ran out of it."""

MOST_ATTEMPTS = 50
"""Bounds attempts of a task in a run, those that were lost with their cluster included."""

_SERVING_WINDOW_SECONDS = 3_600.0
# A server runs for months; failures long ago say nothing about whether it can be started.


def may_retry(task: TaskSpec, attempts: Sequence[Attempt], now: float) -> bool:
    """Return whether another attempt follows the last of `attempts`, which has ended.

    An attempt lost with its cluster does not count as a failure of the task.
    """
    last = attempts[-1]
    if task.kind is TaskKind.SERVE:
        attempts = [each for each in attempts if now - each.intended_at < _SERVING_WINDOW_SECONDS]
    if len(attempts) >= MOST_ATTEMPTS:
        return False
    if last.state is AttemptState.LOST:
        return True
    failures = sum(attempt.state is not AttemptState.LOST for attempt in attempts)
    return last.reason in RETRYABLE_REASONS and failures <= task.retries


def memory_factor(attempts: Sequence[Attempt]) -> float:
    """Return by how much the planned memory has to grow for the next attempt."""
    ran_out = sum(attempt.reason is Reason.OUT_OF_MEMORY for attempt in attempts)
    return float(MEMORY_GROWTH**ran_out)
