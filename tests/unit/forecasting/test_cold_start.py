"""New tasks borrow from known ones, and own runs take over."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from engine.model.errors import InvalidInputError
from forecasting.profiles.coldstart import ColdStart, TaskRuns


def tasks(seed: int, count: int = 40) -> list[TaskRuns]:
    random = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        typical = 8.0 * float(random.lognormal(-1.0, 0.8))
        needs = typical * random.lognormal(0.0, 0.15, 20)
        found.append(TaskRuns(preset=8.0, needs=tuple(needs.tolist())))
    return found


def test_own_runs_narrow_the_quantiles() -> None:
    learned = ColdStart(tasks(1), seed=1)
    widths = [learned.quantiles(8.0, [2.0] * k).p90 / 2.0 for k in (1, 3, 10)]
    assert widths[0] > widths[1] > widths[2] > 1.0
    assert learned.quantiles(8.0, []).p90 > 4.0


@pytest.mark.parametrize("k", [0, 3, 10])
def test_new_tasks_are_covered_as_promised(k: int) -> None:
    learned = ColdStart(tasks(2), seed=1)
    covered = [
        need <= learned.quantiles(task.preset, task.needs[:k]).p90
        for task in tasks(3, 100)
        for need in task.needs[10:]
    ]
    assert 0.82 <= np.mean(covered) <= 0.97


def test_quantiles_rise_and_scale_with_the_unit() -> None:
    learned = ColdStart(tasks(4), seed=1)
    told = learned.quantiles(8.0, [1.0, 1.2])
    scaled = learned.quantiles(8_000.0, [1_000.0, 1_200.0])
    assert all(low <= high for low, high in pairwise(told.values))
    assert scaled.p90 == pytest.approx(1_000.0 * told.p90)


def test_too_few_tasks_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="at least 3"):
        ColdStart(tasks(1, 2), seed=1)
