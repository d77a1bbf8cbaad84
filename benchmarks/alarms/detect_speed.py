"""Points a second and core of the detector of `alarms.nab`, with the same settings, and its memory.

One series is drawn as it goes: a daily season, an autocorrelated part, now and then a spike or a
change of level. Processor time counts, drawing left out. Memory is the resident memory of the
process at the end, above that after the first part of the points.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from alarms.detection.sequences.detector import SequenceDetector
from benchmarks import frame

POINTS = 10_000_000
QUICK_POINTS = 500_000
BLOCK = 10_000
CADENCE_SECONDS = 300.0
DAY_SECONDS = 86_400.0
PAGE_BYTES = 4_096
STATM = Path("/proc/self/statm")


def add_options(group: argparse._ArgumentGroup) -> None:
    """Add the number of points."""
    group.add_argument("--points", type=int, default=POINTS)


def run(context: frame.Context) -> Iterable[frame.Figure]:
    """Feed one detector."""
    points = int(context.options.get("points") or POINTS)
    if context.quick:
        points = min(points, QUICK_POINTS)
    detector = SequenceDetector()
    told = detector.told
    seconds = 0.0
    alarms = 0
    first_bytes = 0
    blocks = points // BLOCK
    for number, (times, values) in enumerate(drawn(blocks)):
        if number == blocks // 10:
            gc.collect()
            first_bytes = resident_bytes()
        begun = time.process_time()
        for at, value in zip(times, values, strict=True):
            if told(at, value):
                alarms += 1
        seconds += time.process_time() - begun
    gc.collect()
    grown = resident_bytes() - first_bytes
    yield frame.at_least(
        f"points a second and core, {blocks * BLOCK:,} points",
        blocks * BLOCK / seconds,
        50_000,
        unit="points/s",
    )
    yield frame.at_most("resident memory grown after the first tenth", grown / 2**20, 1, unit="MiB")
    yield frame.informs("values told", alarms, anchor="spikes and changes are drawn in")


def drawn(blocks: int) -> Iterator[tuple[list[float], list[float]]]:
    """Yield blocks of times and values of one series; the same ones each time."""
    random = np.random.default_rng(1)
    last = level = 0.0
    for block in range(blocks):
        times = (np.arange(BLOCK) + block * BLOCK) * CADENCE_SECONDS
        shocks = random.normal(size=BLOCK)
        wander = np.empty(BLOCK)
        for place in range(BLOCK):
            last = 0.8 * last + shocks[place]
            wander[place] = last
        values = 10 * np.sin(2 * np.pi * times / DAY_SECONDS) + wander + level
        values[random.integers(BLOCK)] += 50 * random.standard_cauchy()
        level += random.normal() if block % 7 == 0 else 0.0
        yield times.tolist(), values.tolist()


def resident_bytes() -> int:
    """Return the resident memory of this process."""
    return int(STATM.read_text(encoding="ascii").split()[1]) * PAGE_BYTES
