"""The chooser that learns nothing: memory by the profile's ladder, all else the same again."""

from __future__ import annotations

from engine.dispatching import retrying
from engine.model.dispatches import Attempt
from engine.model.failures import Failure
from engine.model.remedies import Configuration, FailureCause, Remedy, RemedyStep


class Ladder:
    """The plain chooser: memory grows by the profile's ladder, all else is tried again as it was.

    It learns nothing; `forecasting.remedies` does (port `RemedyChooser`).
    """

    def choose(self, failure: Failure) -> Remedy:
        """Return the next step of the ladder."""
        step, configuration = RemedyStep.SAME, None
        if failure.diagnosis.cause is FailureCause.OUT_OF_MEMORY:
            ran_out = [a for a in failure.attempts if _ran_out(a, failure.attempts[-1])]
            factor = retrying.memory_factor(len(ran_out), failure.profile)
            room = max(failure.places[0].room.memory_gib, failure.planned.memory_gib)
            memory = min(failure.planned.memory_gib * factor, room)
            step, configuration = RemedyStep.MORE_MEMORY, Configuration(memory_gib=memory)
        return Remedy(
            diagnosis=failure.diagnosis,
            step=step,
            why="the next step of its ladder" if configuration else "it may pass",
            configuration=configuration,
        )


def _ran_out(attempt: Attempt, last: Attempt) -> bool:
    cause = attempt.remedy.diagnosis.cause if attempt.remedy else None
    return attempt is last or cause is FailureCause.OUT_OF_MEMORY
