"""Services hold what keeps the allowed share of violations, at least cost."""

from __future__ import annotations

import numpy as np
import pytest

from engine.model.errors import InvalidInputError
from forecasting.profiles.recommenders import LEVELS, Violation, held
from forecasting.profiles.request_load import RequestLoad
from forecasting.profiles.rightsizing import Family, Rightsizer, worth_changing
from forecasting.profiles.windows import windows


def use(services: int = 30, hours: int = 10, seed: int = 1) -> np.ndarray:
    random = np.random.default_rng(seed)
    level = random.lognormal(1.0, 0.5, (services, 1, 1))
    return level * random.lognormal(0.0, 0.2, (services, hours, 12))


def test_no_price_holds_little_and_a_high_price_holds_the_largest() -> None:
    quantiles = np.tile(LEVELS * 10.0, (2, 1))
    base = np.array([1.0, 2.0])
    assert held(quantiles, base, 0.0).tolist() == [0.0, 0.0]
    assert held(quantiles, base, 1e6).tolist() == [10.0, 20.0]


@pytest.mark.parametrize("violation", list(Violation))
def test_the_allowed_share_is_kept_on_new_services(violation: Violation) -> None:
    sizer = Rightsizer(use(), violation=violation, seed=1)
    chosen = sizer.choose(0.1)
    assert chosen.violations <= 0.1
    later = use(seed=2)
    rows, amounts = sizer.recommend(later, chosen, first_hour=5)
    followed = later[rows.service, rows.hour]
    above = followed > amounts[:, None]
    share = above.any(axis=1).mean() if violation is Violation.WINDOW else above.mean()
    assert share <= 0.18


def test_more_allowed_holds_less() -> None:
    sizer = Rightsizer(use(), violation=Violation.SAMPLE, seed=1)
    strict, loose = sizer.choose(0.01), sizer.choose(0.2)
    assert loose.held_over_used < strict.held_over_used


def test_a_margin_is_held_where_the_largest_of_like_hours_is_too_little() -> None:
    """Use that rises without end leaves every leaf's largest behind."""
    random = np.random.default_rng(4)
    rising = use(services=60) * random.pareto(2.0, (60, 10, 12)).clip(1.0)
    sizer = Rightsizer(rising, violation=Violation.WINDOW, seed=1)
    by_family = {chosen.family: chosen for chosen in sizer.back_tests(0.01)}
    like = by_family[Family.LIKE_HOURS]
    assert like.violations <= 0.01
    assert like.knob > 3_000.0


def test_age_is_what_was_measured_and_the_largest_use_grows_old() -> None:
    used = np.ones((2, 5, 3))
    used[0, 1] = 4.0
    used[1, :3] = np.nan
    rows = windows(used, first_hour=4, floor=0.1)
    assert rows.features[:, -3].tolist() == [4.0, 1.0]
    assert rows.features[:, -2].tolist() == [2.0, 0.0]


def test_units_scale_what_is_held() -> None:
    small, large = (
        Rightsizer(scale * use(), violation=Violation.WINDOW, seed=1).choose(0.05)
        for scale in (1.0, 1_000.0)
    )
    assert small.held_over_used == pytest.approx(large.held_over_used, rel=1e-6)


def test_a_service_with_gaps_is_still_sized() -> None:
    used = use()
    used[3, :4] = np.nan
    used[5, 2, ::2] = np.nan
    sizer = Rightsizer(used, violation=Violation.WINDOW, seed=1)
    sizer.learn(used)
    _, amounts = sizer.recommend(used, sizer.choose(0.05), first_hour=3)
    assert np.isfinite(amounts).all()
    assert (amounts >= 0).all()


@pytest.mark.parametrize(
    "broken", [np.full((3, 5, 2), np.nan), -np.ones((3, 5, 2)), np.ones((1, 2, 2))]
)
def test_use_that_cannot_be_is_refused(broken: np.ndarray) -> None:
    with pytest.raises(InvalidInputError):
        Rightsizer(broken, violation=Violation.WINDOW, seed=1)


def test_a_small_saving_is_not_worth_a_restart() -> None:
    assert not worth_changing(10.0, 9.9, restart_cost=5.0, hours=24.0)
    assert worth_changing(10.0, 5.0, restart_cost=5.0, hours=24.0)
    assert worth_changing(10.0, 10.1, restart_cost=5.0, hours=1.0)


def test_a_busier_pod_is_expected_to_use_more() -> None:
    random = np.random.default_rng(3)
    rates = random.uniform(0.1, 2.0, (40, 8))
    used = rates[:, :, None] * random.lognormal(0.0, 0.1, (40, 8, 12))
    load = RequestLoad(used, rates, own_hours=False, seed=1)
    told = load.quantiles(np.full((1, 2, 12), np.nan), np.array([[0.2, 1.8]]))
    assert told[0, 1, 0] > 1.5 * told[0, 0, 0]
    assert (np.diff(told, axis=2) >= 0).all()
    assert (told >= 0).all()
