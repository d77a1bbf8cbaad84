"""Finds estimates that are too good because the rows of the test had a part in the choice.

Three ways in which that happens, each found from what is at hand: several models are judged on the
held-out rows and the best score is reported (`HeldOut`, `chosen_on_test`); the same record stands
on both sides of the split (`shared_rows`); the rows that chose and the rows that judge overlap
(`overlap`). What small outputs alone tell is found in `executors.training.reported`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from executors.training.reported import Leak

_DRAWS = 500


class LeakError(Exception):
    """The held-out rows were asked about more than one model."""


class HeldOut:
    """Held-out rows whose labels are looked at for one model only.

    The second look is refused unless the leak is asked for, and every look is remembered, so that
    `leak` says what a choice among the models that were judged here is worth.
    """

    def __init__(
        self, rows: NDArray[np.float64], labels: NDArray[np.int64], *, strict: bool = True
    ) -> None:
        self.rows = rows
        self._labels = labels
        self._strict = strict
        self._right: dict[str, NDArray[np.bool_]] = {}

    def judge(self, name: str, predicted: NDArray[np.int64]) -> float:
        """Return the share of rows that a model classifies right.

        Raises:
            LeakError: when another model was judged here before and `strict` holds.
        """
        if self._strict and self._right and name not in self._right:
            first = next(iter(self._right))
            raise LeakError(
                f"{name!r} asks for labels that already judged {first!r}; choose by "
                "cross-validation on the training rows, and judge the one that is chosen"
            )
        self._right[name] = predicted == self._labels
        return float(self._right[name].mean())

    def leak(self, seed: int = 0) -> Leak | None:
        """Return the leak of choosing the best here, or None when there was nothing to choose."""
        return chosen_on_test(self._right, seed=seed)


def chosen_on_test(right: Mapping[str, NDArray[np.bool_]], *, seed: int = 0) -> Leak | None:
    """Return the leak of reporting the best of several models on the rows that judged them all.

    right: by model, whether each held-out row was classified right. The optimism is the best
    score less what the winner of drawn rows has on the rows that were not drawn (as in BBC-CV).
    """
    if len(right) < 2:  # noqa: PLR2004 - one model is no choice
        return None
    table = np.vstack(list(right.values())).astype(np.float64)
    generator = np.random.default_rng([seed, 3])
    count = table.shape[1]
    elsewhere: list[float] = []
    for _ in range(_DRAWS):
        drawn = generator.integers(0, count, size=count)
        left = np.ones(count, dtype=np.bool_)
        left[drawn] = False
        winner = int(np.argmax(table[:, drawn].mean(axis=1)))
        if left.any():
            elsewhere.append(float(table[winner, left].mean()))
    best = max(right, key=lambda name: float(right[name].mean()))
    optimism = max(float(right[best].mean() - np.mean(elsewhere)), 0.0)
    what = f"{best!r} was chosen among {len(right)} models by their scores on the held-out rows"
    return Leak(what=what, count=len(right), optimism=optimism)


def shared_rows(
    training: NDArray[np.float64], held_out: NDArray[np.float64]
) -> tuple[int, Leak | None]:
    """Return how many held-out rows also stand in training, and the leak if there are any."""
    known = {row.tobytes() for row in np.ascontiguousarray(training)}
    count = sum(row.tobytes() in known for row in np.ascontiguousarray(held_out))
    if not count:
        return 0, None
    share = count / len(held_out)
    what = f"{count} of {len(held_out)} held-out rows ({share:.1%}) also stand in training"
    return count, Leak(what=what, count=count)


def overlap(chose: Sequence[int], judged: Sequence[int]) -> Leak | None:
    """Return the leak of judging by rows, given by their indices, that had a part in the choice."""
    both = set(chose) & set(judged)
    if not both:
        return None
    what = f"{len(both)} of {len(set(judged))} rows that judge had a part in the choice"
    return Leak(what=what, count=len(both))
