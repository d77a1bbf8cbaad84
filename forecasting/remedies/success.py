"""How likely a retry succeeds, from what earlier ones came to: counts, shrunk towards wider ones.

What happened after the same words leans on what happened to this task, that on what happened to its
kind, that on what happened to any task after the same cause and change, and that on a prior. Each
level counts as `_WEIGHT` retries for the one below it, so that a few outcomes move the estimate and
many decide it. One more outcome changes it at once: nothing has to be fitted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.model.remedies import FailureCause, RemedyStep, Retry
from engine.model.specs import TaskKind

_WEIGHT = 3.0
_WORDS_WEIGHT = 1.0
"""The same words end alike much more often than the same task does."""
_REPEATS_MOST = 3
_REPEAT_FACTOR = 0.5
"""A prior halves with each further failure of the same cause in a run."""
_PRIORS = {
    (FailureCause.OUT_OF_MEMORY, RemedyStep.MORE_MEMORY): 0.8,
    (FailureCause.OUT_OF_MEMORY, RemedyStep.SMALLER_BATCH): 0.6,
    (FailureCause.OUT_OF_GPU_MEMORY, RemedyStep.SMALLER_BATCH): 0.7,
    (FailureCause.OUT_OF_GPU_MEMORY, RemedyStep.OTHER_MACHINE): 0.7,
    (FailureCause.DISK_FULL, RemedyStep.MORE_DISK): 0.7,
    (FailureCause.DISK_FULL, RemedyStep.OTHER_MACHINE): 0.6,
    (FailureCause.DISK_FULL, RemedyStep.SAME): 0.3,
    (FailureCause.TIMED_OUT, RemedyStep.MORE_TIME): 0.3,
    (FailureCause.TIMED_OUT, RemedyStep.OTHER_MACHINE): 0.3,
    (FailureCause.UNKNOWN, RemedyStep.SAME): 0.4,
}
_OTHER_PRIOR = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A retry that is considered; fields as those of `Retry`."""

    pipeline: str
    task: str
    kind: TaskKind
    cause: FailureCause
    step: RemedyStep
    repeat: int
    words: str = ""


def success(asked: Asked, retries: Sequence[Retry]) -> tuple[float, int]:
    """Return the probability that a retry succeeds, and how many past ones speak for it.

    retries: past ones of any task.
    """
    level = min(asked.repeat, _REPEATS_MOST)
    like = [
        retry
        for retry in retries
        if (retry.cause, retry.step) == (asked.cause, asked.step)
        and min(retry.repeat, _REPEATS_MOST) == level
    ]
    prior = _PRIORS.get((asked.cause, asked.step), _OTHER_PRIOR)
    if asked.cause is not FailureCause.OUT_OF_MEMORY:
        prior *= _REPEAT_FACTOR ** (level - 1)
    kind = [retry for retry in like if retry.kind is asked.kind]
    own = [r for r in kind if (r.pipeline, r.task) == (asked.pipeline, asked.task)]
    alike = [retry for retry in like if asked.words and retry.words == asked.words]
    estimate = prior
    levels = ((like, _WEIGHT), (kind, _WEIGHT), (own, _WEIGHT), (alike, _WORDS_WEIGHT))
    for group, weight in levels:
        estimate = (weight * estimate + sum(r.succeeded for r in group)) / (weight + len(group))
    return estimate, len(like)
