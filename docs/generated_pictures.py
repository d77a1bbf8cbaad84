"""Pictures of the benchmarks: how the gap of a plan falls over time, beside its peers.

Drawn from the traces in `benchmarks/traces/`, which `placement.fleet --trace FILE` writes.
"""

import csv
import math
import statistics
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import altair
import vl_convert

TRACES = Path(__file__).resolve().parents[1] / "benchmarks" / "traces"
PEERS: dict[int, tuple[tuple[str, float, float], ...]] = {
    # Name, seconds, gap in per cent: the mean of the ten-minute incumbents of `bounds.csv`, and
    # what was measured of Rebalancer on one of the instances (it has no wheel for Python 3.11).
    1_000: (("HiGHS", 600.0, 12.8), ("Rebalancer on seed 0", 60.0, 6.8)),
    10_000: (("HiGHS", 600.0, 2.59), ("Rebalancer on seed 0", 60.0, 1.28)),
}
GRID_POINTS = 60
VERSION = ".".join(altair.SCHEMA_VERSION.removeprefix("v").split(".")[:2])

Row = dict[str, Any]


def pictures() -> Iterator[tuple[str, str]]:
    """Yields file names with their drawings (SVG)."""
    with (TRACES / "fleet.csv").open(encoding="ascii", newline="") as file:
        rows = list(csv.DictReader(file))
    for tasks in sorted({int(row["tasks"]) for row in rows}):
        runs: dict[str, list[tuple[float, float]]] = {}
        for row in rows:
            if int(row["tasks"]) == tasks:
                point = (float(row["seconds"]), float(row["gap_percent"]))
                runs.setdefault(row["seed"], []).append(point)
        yield f"fleet-{tasks}.svg", drawing(tasks, runs)


def drawing(tasks: int, runs: dict[str, list[tuple[float, float]]]) -> str:
    """Returns the gap over time of each seed and their mean, and the peers as points."""
    grid = instants(runs.values())
    lines: list[Row] = []
    for seconds in grid:
        gaps = [gap_at(run, seconds) for run in runs.values()]
        lines += [
            {"seconds": seconds, "gap": gap, "seed": seed}
            for seed, gap in zip(runs, gaps, strict=True)
            if gap is not None
        ]
        known = [gap for gap in gaps if gap is not None]
        if len(known) == len(gaps):
            lines.append({"seconds": seconds, "gap": statistics.fmean(known), "seed": "mean"})
    peers: list[Row] = [
        {"seconds": seconds, "gap": gap, "name": f"{name}, {seconds:g} s"}
        for name, seconds, gap in PEERS.get(tasks, ())
    ]
    ends: list[Row] = [
        {"seconds": grid[-1], "gap": gap_at(run, grid[-1]), "name": f"seed {seed}"}
        for seed, run in runs.items()
    ]
    x = altair.X("seconds:Q", title="seconds", scale=altair.Scale(type="log"))
    y = altair.Y(
        "gap:Q", title="gap to the best known bound, %", scale=altair.Scale(type="log", nice=False)
    )
    base = altair.Chart(altair.Data(values=lines)).encode(x=x, y=y, detail="seed:N")
    beside = altair.Chart(altair.Data(values=peers)).encode(x=x, y=y)
    names = beside.encode(text="name:N")
    ended = altair.Chart(altair.Data(values=ends)).encode(x=x, y=y, text="name:N")
    seeds = base.transform_filter("datum.seed != 'mean'")
    mean = base.transform_filter("datum.seed == 'mean'")
    chart = altair.layer(
        seeds.mark_line(color="#8aa4c8", strokeWidth=1, interpolate="step-after"),
        mean.mark_line(color="#1f4e8c", strokeWidth=3, interpolate="step-after"),
        beside.mark_point(color="#b3541e", size=90, filled=True, shape="diamond"),
        # Names stay clear of the lines, and within the picture.
        names.transform_filter(f"datum.seconds > {grid[-1]} * 1.1").mark_text(
            color="#b3541e", align="right", dx=-8, dy=-8
        ),
        names.transform_filter(f"datum.seconds <= {grid[-1]} * 1.1").mark_text(
            color="#b3541e", align="left", dx=50
        ),
        ended.mark_text(color="#4a6a95", align="left", dx=6, dy=-5),
    ).properties(width=620, height=260, background="white")
    return vl_convert.vegalite_to_svg(chart.to_dict(), vl_version=VERSION)


def instants(runs: Iterable[Sequence[tuple[float, float]]]) -> list[float]:
    """Returns instants at even steps of their logarithm, from the first plan to the last."""
    known = [seconds for run in runs for seconds, _ in run]
    low, high = max(min(known), 0.1), max(known)
    step = math.log(high / low) / (GRID_POINTS - 1)
    return [low * math.exp(step * number) for number in range(GRID_POINTS)]


def gap_at(run: Sequence[tuple[float, float]], seconds: float) -> float | None:
    """Returns the gap of the best plan by an instant; None before the first."""
    before = [gap for at, gap in run if at <= seconds * (1 + 1e-9)]
    return min(before) if before else None
