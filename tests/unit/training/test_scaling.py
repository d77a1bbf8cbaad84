"""What a probe of some workers says of other numbers of them."""

from __future__ import annotations

import pytest

from executors.training.parallel.prediction import Probe


def probe(workers: int, together: float, exchange: float) -> Probe:
    return Probe(
        workers=workers,
        alone_seconds=1.0,
        together_seconds=together,
        exchange_seconds=exchange,
    )


@pytest.mark.parametrize("workers", [2, 3, 4])
def test_of_as_many_workers_it_says_what_was_measured(workers: int) -> None:
    found = probe(workers, 1.0 / workers + 0.04, 0.03)
    assert found.scaling.speed_up(workers) == pytest.approx(found.speed_up, abs=1e-3)


def test_what_is_not_shared_bounds_more_workers() -> None:
    found = probe(2, 0.75, 0.0)
    assert found.scaling.speed_up(8) == pytest.approx(1 / (0.5 + 0.5 / 8), abs=1e-3)


def test_no_part_is_less_than_nothing() -> None:
    assert probe(2, 0.4, 0.0).scaling.speed_up(8) == 8.0
    assert probe(2, 1.5, 0.0).scaling.speed_up(8) == 1.0
