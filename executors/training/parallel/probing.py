"""Measures what a prediction of speed-up rests on, in every worker at once."""

from __future__ import annotations

import copy
import importlib
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
_STEPS = 15


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
    for number in range(_STEPS + 1):
        for name, taker in steps.items():
            _wait(world)
            if name == "alone" and world.rank:
                continue
            began = clock()
            taker.take(number % taker.steps_per_epoch)
            seconds = clock() - began
            found[name].append(seconds if name == "alone" else _longest(seconds, world))
    if world.rank:
        return
    # The first of each warms up.
    quiet = {name: prediction.quiet(values[1:]) for name, values in found.items()}
    result = prediction.Probe(
        workers=world.size,
        alone_seconds=quiet["alone"],
        together_seconds=quiet["together"],
        exchange_seconds=max(quiet["step"] - quiet["together"], 0.0),
    )
    text = json.dumps(asdict(result)) + "\n"
    (folder / prediction.NAME).write_text(text, encoding="utf-8")


def _steps(recipe: Recipe, world: World, limits: Limits) -> Steps:
    model = copy.deepcopy(recipe.model).to(world.device)
    return Steps(recipe, model, world, limits)


def _wait(world: World) -> None:
    if world.size > 1:
        torch.distributed.barrier()


def _longest(seconds: float, world: World) -> float:
    """Return the longest of all workers' times: a step ends with the last of them."""
    found = torch.tensor(seconds, dtype=torch.float64, device=world.device)
    if world.size > 1:
        torch.distributed.all_reduce(found, op=torch.distributed.ReduceOp.MAX)
    return float(found)
