"""A trial as its objective sees it: parameters, epochs up to a budget, reports, a checkpoint.

    def objective(trial):
        state = trial.load() or first_state(trial.parameters, trial.seed)
        for epoch in trial.epochs():
            state = one_epoch(state)
            trial.save(state)
            trial.report(loss=..., accuracy=...)

`epochs` ends when the budget of this visit is used up. A trial that is promoted, or was killed, is
called again and goes on from its last checkpoint. `loss` is what is minimised.
"""

from __future__ import annotations

import io
import math
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Value = str | int | float
Arrays = Mapping[str, NDArray[np.generic]]
Tell = Callable[[int, Mapping[str, float]], None]

_CHECKPOINT = "checkpoint.npz"
_EPOCH = "__epoch__"


class TrialError(Exception):
    """A trial cannot go on; the message is its reason."""


@dataclass(slots=True, kw_only=True)
class Trial:
    """One configuration that is being tried.

    number: counts from 0 in a study; seed: its own; goal: epochs after which this visit ends.
    folder: for files of its own, kept between visits.
    tell: takes each finished epoch with its values.
    """

    number: int
    parameters: Mapping[str, Value]
    seed: int
    goal: int
    folder: Path
    tell: Tell = field(repr=False)
    _done: int = 0

    def epochs(self) -> Iterator[int]:
        """Yield the epochs of this visit, counted from 1, from where the checkpoint stands.

        Raises:
            TrialError: when an epoch ended without `report`.
        """
        for epoch in range(self.epochs_done() + 1, self.goal + 1):
            self._done = epoch
            self._reported = False
            yield epoch
            if not self._reported:
                raise TrialError(f"epoch {epoch} ended without `trial.report(loss=...)`")

    _reported: bool = False

    def report(self, *, loss: float, **values: float) -> None:
        """Say how good the model is after this epoch.

        Raises:
            TrialError: when the loss is not a finite number; the trial fails.
        """
        if not math.isfinite(loss):
            raise TrialError(f"the loss of epoch {self._done} is {loss!r}")
        found = {name: float(value) for name, value in values.items() if math.isfinite(value)}
        self.tell(self._done, {"loss": float(loss), **found})
        self._reported = True

    def save(self, arrays: Arrays) -> None:
        """Keep arrays as the checkpoint of this epoch; a kill leaves the old one or the new one.

        Raises:
            TrialError: when the disk is full, or the checkpoint larger than is allowed.
        """
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **{**arrays, _EPOCH: np.array(self._done)})
        partial = self.folder / f".{_CHECKPOINT}"
        try:
            with partial.open("wb") as file:
                file.write(buffer.getbuffer())
                file.flush()
                os.fsync(file.fileno())
            partial.replace(self.folder / _CHECKPOINT)
        except OSError as error:
            partial.unlink(missing_ok=True)
            message = f"the checkpoint of {buffer.tell()} bytes cannot be kept: {error.strerror}"
            raise TrialError(message) from error

    def load(self) -> dict[str, NDArray[np.generic]] | None:
        """Return the arrays of the last checkpoint, or None when there is none."""
        found = self._checkpoint()
        return None if found is None else {k: v for k, v in found.items() if k != _EPOCH}

    def epochs_done(self) -> int:
        """Return how many epochs the checkpoint holds."""
        found = self._checkpoint()
        return 0 if found is None else int(found[_EPOCH])

    def _checkpoint(self) -> dict[str, NDArray[np.generic]] | None:
        path = self.folder / _CHECKPOINT
        if not path.exists():
            return None
        try:
            with np.load(path, allow_pickle=False) as found:
                return {name: found[name] for name in found.files}
        except (OSError, ValueError, KeyError, EOFError) as error:
            raise TrialError(f"the checkpoint {path.name} is damaged: {error}") from error
