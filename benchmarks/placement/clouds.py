"""Money and SLA weight of batch plans over ten clouds, against a planner of single pipelines.

Each file of `placement/clouds` is planned by Berth's own planner and by the anchor: every pipeline
alone and exactly, in order of arrival, on what is left, in the way of SkyPilot. Both are judged
by the same rules and the same cost function, which know neither of them. Berth is given what the
anchor spends as the budget of the whole plan, and asked for most SLA weight first, least money
second.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.frame import BenchmarkError, Context, Figure, informs
from benchmarks.placement import _clouds_anchor as anchor
from benchmarks.placement import _clouds_berth as berth
from benchmarks.placement import _clouds_bound as bound
from benchmarks.placement._clouds_judge import Judged, Plan, judge
from benchmarks.placement._clouds_world import Pipeline, World, read

PATTERN = "placement/clouds/*.json"
TIGHT = "tight"
SAVED_PERCENT = 10.0
QUICK_WORK = 2.0
SMALL = 1e-6


def add_options(group: argparse._ArgumentGroup) -> None:
    """Add the search's work."""
    group.add_argument(
        "--work",
        type=float,
        default=30.0,
        help="work units of the search for each file, about a second of one processor each",
    )


def run(context: Context) -> Iterator[Figure]:
    """Yield for each file the money beside the anchor's and the SLA weight; then all tight ones.

    Raises:
        BenchmarkError: A plan breaks a rule.
    """
    files = context.files(PATTERN)
    work = QUICK_WORK if context.quick else context.options["work"]
    tight: list[tuple[Judged, Judged]] = []
    for path in _first_of_each(files) if context.quick else files:
        world = read(path)
        alone = _judged(world, anchor.plan(world), "the anchor")
        planned = berth.plan(world, budget_usd=alone.usd, work=work)
        ours = _judged(world, planned.places, "Berth")
        if world.name.startswith(TIGHT):
            tight.append((ours, alone))
        yield from _figures(world, ours, alone)
        yield from _limits(world, alone)
        yield informs(f"{world.name}: bound on money at this weight", planned.bound_usd, unit="USD")
        yield informs(f"{world.name}: planning", planned.cpu_seconds, unit="CPU s")
    if tight:
        yield _of_tight(tight)


def _first_of_each(files: list[Path]) -> list[Path]:
    """Return the first file of the tight ones and of the others."""
    tight = [path for path in files if path.stem.startswith(TIGHT)]
    loose = [path for path in files if not path.stem.startswith(TIGHT)]
    return [*tight[:1], *loose[:1]]


def _judged(world: World, plan: Plan, who: str) -> Judged:
    judged = judge(world, plan)
    if judged.faults:
        count = len(judged.faults)
        raise BenchmarkError(
            f"{who} broke {count} rules on {world.name!r}, first: {judged.faults[0]}"
        )
    return judged


def _figures(world: World, ours: Judged, alone: Judged) -> Iterator[Figure]:
    cheaper = _saved(ours.usd, alone.usd)
    tight = world.name.startswith(TIGHT)
    kept = ours.weight >= alone.weight
    enough = SAVED_PERCENT if tight and ours.weight <= alone.weight else 0.0
    bar = f"at least {SAVED_PERCENT:g} at no less weight, or 0 at more"
    yield Figure(
        name=f"{world.name}: money saved",
        value=cheaper,
        unit="%",
        bar=bar if tight else "at least 0 at no less weight",
        anchor=f"one pipeline at a time: {alone.usd:.2f} USD",
        holds=kept and cheaper >= enough - SMALL,
    )
    total = sum(pipeline.weight for pipeline in world.pipelines)
    yield informs(
        f"{world.name}: SLA weight kept",
        ours.weight,
        unit=f"of {total:g}",
        anchor=f"one pipeline at a time: {alone.weight:g}",
    )


def _limits(world: World, alone: Judged) -> Iterator[Figure]:
    """Yield the most that any plan can save that keeps what the anchor keeps, and whether more is.

    No pipeline costs less than by itself in an empty fleet, and one that has no way there has none.
    Where that leaves the bar open, all of them together are bounded by what room there is.
    """
    first = [_by_itself(world, pipeline) for pipeline in world.pipelines]
    names = [pipeline.name for pipeline in world.pipelines]
    by_name = {n: one.usd for n, one in zip(names, first, strict=True) if n in alone.kept}
    least = sum(by_name.values())
    most = sum(one.weight for one in first)
    how = "each pipeline in an empty fleet"
    tight = world.name.startswith(TIGHT)
    if tight and most <= alone.weight and _saved(least, alone.usd) >= SAVED_PERCENT:
        least, how = max(least, bound.least_usd(world, by_name)), "the room of all pools in sum"
    saved = _saved(least, alone.usd)
    yield informs(
        f"{world.name}: money that any plan can save at that weight, at most",
        saved,
        unit="%",
        anchor=f"by {how}; a weight of {most:g} has a way at all",
    )
    if tight:
        yield informs(
            f"{world.name}: whether any plan can meet the bar (0: proven that none can)",
            float(saved >= SAVED_PERCENT or most > alone.weight),
            anchor=f"{alone.weight:g} kept by the anchor",
        )


def _by_itself(world: World, pipeline: Pipeline) -> Judged:
    one = replace(world, pipelines=(pipeline,))
    return judge(one, anchor.plan(one))


def _of_tight(plans: Sequence[tuple[Judged, Judged]]) -> Figure:
    """Return the money saved over all tight files, with the SLA weight kept over all of them."""
    ours, alone = (sum(pair[i].usd for pair in plans) for i in (0, 1))
    weight, before = (sum(pair[i].weight for pair in plans) for i in (0, 1))
    cheaper = _saved(ours, alone)
    return informs(
        f"tight: money saved over all files, keeping a weight of {weight:g}",
        cheaper,
        unit="%",
        anchor=f"one pipeline at a time: {alone:.2f} USD, {before:g}",
    )


def _saved(ours: float, alone: float) -> float:
    return 100.0 * (1.0 - ours / alone) if alone > 0 else 0.0
