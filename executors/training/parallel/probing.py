"""Measures what a prediction of speed-up rests on, in every worker at once."""

from __future__ import annotations

import copy
import importlib
import itertools
import json
import math
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from executors.training.parallel import prediction
from executors.training.parallel.loop import Limits, Steps, World
from executors.training.parallel.recipe import Recipe

torch: Any = importlib.import_module("torch")
_ROUNDS = 4
_BLOCK_SECONDS = 0.3
_BLOCK_STEPS = (4, 16)
"""Fewest and most steps in a row: a step of a small network is faster after another of its kind."""


def measure(
    recipe: Recipe, folder: Path, world: World, limits: Limits, *, clock: Callable[[], float]
) -> None:
    """Measure with copies of the network; worker 0 writes `probe.json`."""
    alone = World(device=world.device)
    part = replace(recipe, global_batch=math.ceil(recipe.global_batch / world.size))
    steps = {
        "alone": _steps(recipe, alone, limits),
        "together": _steps(part, alone, limits),
        "step": _steps(recipe, world, limits),
    }
    found: dict[str, list[float]] = {name: [] for name in steps}
    count = _count(steps["together"], world, clock=clock)
    for _ in range(_ROUNDS):
        for name, taker in steps.items():
            _wait(world)
            if name == "alone":
                seconds = [] if world.rank else _block(taker, count, clock=clock)
            else:
                seconds = _longest(_block(taker, count, clock=clock), world)
            found[name] += seconds
    if world.rank:
        return
    quiet = {name: prediction.quiet(values) for name, values in found.items()}
    result = prediction.Probe(
        workers=world.size,
        alone_seconds=quiet["alone"],
        together_seconds=quiet["together"],
        exchange_seconds=max(quiet["step"] - quiet["together"], 0.0),
    )
    text = json.dumps(asdict(result)) + "\n"
    (folder / prediction.NAME).write_text(text, encoding="utf-8")


def _count(taker: Steps, world: World, *, clock: Callable[[], float]) -> int:
    """Return how many steps in a row are taken, the same for all workers."""
    slowest = max(_longest(_block(taker, 2, clock=clock), world))
    least, most = _BLOCK_STEPS
    return min(most, max(least, round(_BLOCK_SECONDS / max(slowest, 1e-6))))


def _block(taker: Steps, count: int, *, clock: Callable[[], float]) -> list[float]:
    """Take steps in a row as a training does; return the seconds of all but the first."""
    at = []
    for number in range(count):
        taker.take(number % taker.steps_per_epoch)
        at.append(clock())
    return [later - before for before, later in itertools.pairwise(at)]


def _steps(recipe: Recipe, world: World, limits: Limits) -> Steps:
    model = copy.deepcopy(recipe.model).to(world.device)
    return Steps(recipe, model, world, limits)


def _wait(world: World) -> None:
    if world.size > 1:
        torch.distributed.barrier()


def _longest(seconds: list[float], world: World) -> list[float]:
    """Return the longest of all workers' times by step: it ends with the last of them."""
    found = torch.tensor(seconds, dtype=torch.float64, device=world.device)
    if world.size > 1:
        torch.distributed.all_reduce(found, op=torch.distributed.ReduceOp.MAX)
    return [float(value) for value in found]
