"""What free moves would bring, on fleets small enough to see."""

from __future__ import annotations

import pytest

from benchmarks.placement import _openb_ideal as ideal
from placement.packing.nodes import PodShape


def pod(milli: int, gpus: int = 1) -> PodShape:
    return PodShape(cpu_milli=0, memory_mib=0, gpus=gpus, gpu_milli=milli if gpus else 0)


@pytest.mark.parametrize(
    ("arrivals", "percent"),
    [
        # Two devices: 800 and 800 leave 400, which takes 200 and 200 but no 300.
        ([pod(800), pod(800), pod(300), pod(200), pod(200)], 100.0),
        # Once 600 stands on each device, no third has room however they move; 400 has.
        ([pod(600), pod(600), pod(600), pod(400)], 80.0),
        # Halves that came apart would be moved together, so that the whole one fits.
        ([pod(500), pod(500), pod(1000)], 100.0),
        # Pods without GPU count nothing, and a pair takes both devices.
        ([pod(0, gpus=0), pod(1000, gpus=2), pod(100)], 100.0),
    ],
)
def test_what_some_packing_has_room_for_is_placed(arrivals: list[PodShape], percent: float) -> None:
    assert ideal.allocated_percent(arrivals, devices=2) == pytest.approx(percent)


def test_too_many_ways_to_fill_a_device_are_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ideal, "FILLINGS_MAX", 1)
    assert ideal.allocated_percent([pod(300), pod(400)], devices=2) is None
