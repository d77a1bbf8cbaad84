"""Durations are forecast from what had ended by then, and their coverage is repaired."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor

from engine.model.errors import FinalError, InvalidInputError
from forecasting.profiles.calibration import GroupedErrors, RollingErrors
from forecasting.profiles.durations import DurationForecaster, DurationLoss
from forecasting.profiles.rowtrees import RowTrees
from forecasting.profiles.runlog import RunLog, Submission


def forecaster() -> DurationForecaster:
    return DurationForecaster(
        numbers=("size",),
        groupings=(("owner", "size"), ("owner",), ()),
        loss=DurationLoss.RATIO,
        default_seconds=60.0,
        seed=1,
    )


def submission(name: str, at: float = 0.0, size: float = 1.0, owner: str = "a") -> Submission:
    return Submission(name=name, attributes={"size": size, "owner": owner}, submitted_at=at)


def test_before_any_run_the_default_speaks_widely() -> None:
    told = forecaster().predict(submission("r"))
    assert told.p50 == pytest.approx(60.0)
    assert told.p95 > 2 * told.p50


def test_runs_that_go_on_are_not_known() -> None:
    log = RunLog(numbers=(), groupings=((),))
    log.submit(submission("first"))
    _, recent = log.submit(submission("second", at=10.0))
    assert recent is None
    log.finish("first", 20.0)
    _, recent = log.submit(submission("third", at=30.0))
    assert recent is not None
    assert recent.last_two == pytest.approx(20.0)


def test_the_size_is_learned_from_runs() -> None:
    model = forecaster()
    random = np.random.default_rng(0)
    for place in range(300):
        size = float(random.integers(1, 9))
        model.predict(submission(f"r{place}", at=place * 100.0, size=size, owner=f"o{place}"))
        model.update(f"r{place}", 10.0 * size)
    due_before = model.refit_due
    model.refit()
    assert (due_before, model.refit_due) == (True, False)
    told = model.predict(submission("new", at=1e6, size=7.0, owner="nobody"))
    assert told.p50 == pytest.approx(70.0, rel=0.1)
    assert all(low <= high for low, high in pairwise(told.values))


@pytest.mark.parametrize("seconds", [-1.0, math.nan, math.inf, 1e12])
def test_durations_that_cannot_be_are_refused(seconds: float) -> None:
    model = forecaster()
    model.predict(submission("r"))
    with pytest.raises(InvalidInputError, match="duration_seconds"):
        model.update("r", seconds)


def test_a_run_is_submitted_once_and_ends_once() -> None:
    log = RunLog(numbers=(), groupings=((),))
    log.submit(submission("r"))
    with pytest.raises(FinalError, match="'r' is submitted twice"):
        log.submit(submission("r"))
    log.finish("r", 1.0)
    with pytest.raises(FinalError, match="no run 'r'"):
        log.finish("r", 1.0)


@pytest.mark.parametrize(
    ("counts_going", "lately"), [(True, [1.0, 2.0, math.log(11.0)]), (False, [0.0, 0.0, -1.0])]
)
def test_submissions_lately_are_counted_where_all_are_known(
    counts_going: bool, lately: list[float]
) -> None:
    log = RunLog(numbers=(), groupings=((),), counts_going=counts_going)
    for at in (0.0, 500.0, 590.0):
        log.submit(submission(f"at {at}", at=at))
    row, _ = log.described(submission("now", at=600.0))
    assert row[-3:].tolist() == pytest.approx(lately)


def test_coverage_is_repaired_when_errors_grow() -> None:
    random = np.random.default_rng(5)
    errors = RollingErrors((0.9,), window=300)
    covered = []
    for place in range(3_000):
        error = float(random.normal(0.0, 1.0 if place < 1_000 else 5.0))
        told = errors.offsets()
        errors.add(error, told)
        covered.append(told is not None and error <= told[0])
    assert 0.88 <= np.mean(covered[1_500:]) <= 0.92


def test_a_group_with_errors_of_its_own_is_calibrated_by_them() -> None:
    errors = GroupedErrors((0.5, 0.9))
    for place in range(200):
        errors.add("quiet", 0.01 * (place % 10), (0.0, 0.05))
        errors.add("wild", 1.0 * (place % 10), (0.0, 5.0))
    quiet, wild, new = (errors.offsets(group) for group in ("quiet", "wild", "new"))
    assert quiet is not None
    assert wild is not None
    assert new is not None
    assert quiet[1] < new[1] < wild[1] * 1.01
    assert set(errors.coverage()) == {"quiet", "wild"}


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error"])
def test_rows_are_answered_as_the_model_answers(loss: str) -> None:
    random = np.random.default_rng(7)
    known = random.normal(size=(400, 5))
    known[random.random(known.shape) < 0.1] = np.nan
    target = np.nansum(known, axis=1)
    model = HistGradientBoostingRegressor(loss=loss, max_iter=20, random_state=1)
    model.fit(known, target)
    rows = RowTrees.of(model)
    told = [rows.predict(row) for row in known[:50]]
    assert told == pytest.approx(model.predict(known[:50]).tolist())
