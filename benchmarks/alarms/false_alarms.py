"""False alarms of gauges without a fault, and shifts of three deviations found, in one run.

Series of three kinds: white, autocorrelated (0.9), and with a daily season of ten deviations from
top to bottom, each with values of unit deviation every five minutes. Each runs without a fault,
then its level changes by three deviations and stays; it is found when an alarm comes within 50
values. The detector is the product's (`StatisticalDetector`), at the level that is set. ADWIN
and Page-Hinkley, written from their papers, read the same series.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from alarms.detection.detector import StatisticalDetector
from alarms.detection.settings import DetectionSettings
from benchmarks import frame
from benchmarks.alarms._change_anchors import Adwin, PageHinkley
from engine.model.signals import Layer, Signal

KINDS = ("white", "autocorrelated", "seasonal")
SERIES = 30
QUICK_SERIES = 4
VALUES = 5_000
DELAY = 50
SHIFT = 3.0
CORRELATION = 0.9
CADENCE_SECONDS = 300.0
DAY_SECONDS = 86_400.0
LEVEL = 5e-5


def add_options(group: argparse._ArgumentGroup) -> None:
    """Add the number of series and the level."""
    group.add_argument("--series", type=int, default=SERIES, help="of each kind")
    group.add_argument("--level", type=float, default=LEVEL, help="false alarms a value, at most")
    group.add_argument("--seed", type=int, default=1)


def run(context: frame.Context) -> Iterable[frame.Figure]:
    """Run all three detectors over the same series."""
    options = context.options
    count = QUICK_SERIES if context.quick else int(options.get("series") or SERIES)
    level = float(options.get("level") or LEVEL)
    seed = int(options.get("seed") or 1)
    found_all = false_all = 0
    for kind in KINDS:
        series = list(drawn(kind, count, seed))
        false, found = judged(series, lambda: product(level))
        anchors = [judged(series, make) for make in (anchor(Adwin), anchor(PageHinkley))]
        rates = ", ".join(
            f"{name} {rate(early, count):.1f} and {100 * late / count:.0f} %"
            for name, (early, late) in zip(("ADWIN", "Page-Hinkley"), anchors, strict=True)
        )
        yield frame.at_most(
            f"{kind}: false alarms per 10,000 values", rate(false, count), 1, anchor=rates
        )
        yield frame.informs(f"{kind}: shifts found", 100 * found / count, unit="%")
        found_all += found
        false_all += false
    total = count * len(KINDS)
    yield frame.at_most("all: false alarms per 10,000 values", rate(false_all, total), 1)
    yield frame.at_least(
        f"all: shifts of 3 deviations found within {DELAY} values, of {total}",
        100 * found_all / total,
        95,
        unit="%",
    )


def rate(alarms: int, series: int) -> float:
    """Return alarms per 10,000 values without a fault."""
    return 1e4 * alarms / (series * VALUES)


def drawn(kind: str, count: int, seed: int) -> Iterator[list[float]]:
    """Yield series whose level changes after VALUES values."""
    random = np.random.default_rng([seed, KINDS.index(kind)])
    size = VALUES + DELAY
    for _ in range(count):
        values = random.normal(size=size)
        if kind == "autocorrelated":
            last = values[0]
            for place in range(1, size):
                last = CORRELATION * last + math.sqrt(1 - CORRELATION**2) * values[place]
                values[place] = last
        if kind == "seasonal":
            phase = random.uniform(0, 2 * np.pi)
            turns = np.arange(size) * CADENCE_SECONDS / DAY_SECONDS
            values += 5 * np.sin(2 * np.pi * turns + phase)
        values[VALUES:] += SHIFT * random.choice([-1, 1])
        yield values.tolist()


def judged(
    series: list[list[float]], make: Callable[[], Callable[[int, float], bool]]
) -> tuple[int, int]:
    """Return alarms before the shifts, and shifts found after them."""
    false = found = 0
    for values in series:
        observe = make()
        alarms = [place for place, value in enumerate(values) if observe(place, value)]
        false += sum(place < VALUES for place in alarms)
        found += any(place >= VALUES for place in alarms)
    return false, found


def product(level: float) -> Callable[[int, float], bool]:
    """Return the product's detector on a gauge whose every change matters."""
    detector = StatisticalDetector(DetectionSettings(level=level))

    def observe(place: int, value: float) -> bool:
        signal = Signal(
            name="pressure",
            layer=Layer.SERVING,
            subject="plant:a",
            at=place * CADENCE_SECONDS,
            value=value,
        )
        return bool(detector.observe([signal]))

    return observe


def anchor(kind: type[Adwin] | type[PageHinkley]) -> Callable[[], Callable[[int, float], bool]]:
    """Return a maker of fresh anchors."""

    def make() -> Callable[[int, float], bool]:
        detector = kind()
        return lambda _, value: detector.observe(value)

    return make
