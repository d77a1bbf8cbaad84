"""Trainings outside pipelines, and what differs between any two trainings."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from api.messages import training
from engine.model.errors import NotFoundError
from executors.training.tracking.experiments import Experiment
from executors.training.tracking.trainings import PREFIX, Recorded, Trainings

_NAME = re.compile(rf"{PREFIX}[a-z0-9]{{1,32}}")


class TrainingDesk:
    """Answers what concerns records of trainings. May be used from several threads.

    home: the data folder. of_run: returns the records of a run by its id.
    """

    def __init__(self, home: Path, of_run: Callable[[str], tuple[Experiment, ...]]) -> None:
        self._store = Trainings(home)
        self._of_run = of_run

    def newest(self, limit: int = 100) -> tuple[Recorded, ...]:
        """Return the newest trainings outside pipelines, with their records."""
        return self._store.recorded(limit)

    def damaged(self) -> tuple[training.Damaged, ...]:
        """Return those whose records cannot be read."""
        return tuple(
            training.Damaged(name=name, message=fault.message, fix=fault.fix)
            for name, fault in self._store.damaged().items()
        )

    def one(self, name: str) -> Recorded:
        """Return a training outside a pipeline, with its record.

        Raises:
            NotFoundError: when there is none of that name.
            DamagedError: when what was kept of it is damaged.
        """
        return self._store.one(_checked(name))

    def experiments(self, name: str) -> tuple[Experiment, ...]:
        """Return the records of a run, or that of a training outside a pipeline.

        Raises:
            NotFoundError: when there is neither of that name.
        """
        is_training = name.startswith(PREFIX)
        return (self.one(name).experiment,) if is_training else self._of_run(name)

    def compare(self, first: str, second: str) -> tuple[training.Difference, ...]:
        """Return all metrics of two runs or trainings, and what else differs; errors as above."""
        return tuple(training.differences(self.experiments(first), self.experiments(second)))


def _checked(name: str) -> str:
    """Return what may be the name of a training; anything else is no name of a file either."""
    if not _NAME.fullmatch(name):
        raise NotFoundError(f"there is no training {name!r}", fix="berth runs lists them all")
    return name
