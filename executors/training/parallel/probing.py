"""Measures what a prediction of speed-up rests on, in every worker at once."""

from __future__ import annotations

import importlib
import json
import math
import statistics
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from executors.training.parallel.prediction import NAME, Probe
from executors.training.parallel.recipe import Recipe

if TYPE_CHECKING:
    from executors.training.parallel.loop import World

torch: Any = importlib.import_module("torch")
_STEPS = 7


def measure(recipe: Recipe, folder: Path, world: World, *, clock: Callable[[], float]) -> None:
    """Measure; worker 0 writes `probe.json`. The weights are left as they are."""
    whole = recipe.global_batch
    part = math.ceil(whole / world.size)
    compute = _timer(recipe, world, clock)
    found: dict[str, list[float]] = {"alone": [], "together": [], "exchange": []}
    compute(part)
    for _ in range(_STEPS):
        _wait(world)
        if world.rank == 0:
            found["alone"].append(compute(whole))
        _wait(world)
        found["together"].append(_longest(compute(part), world))
        found["exchange"].append(_longest(_exchange(recipe, world, clock), world))
    if world.rank:
        return
    seconds = {name: statistics.median(values) for name, values in found.items()}
    result = Probe(
        workers=world.size,
        alone_seconds=seconds["alone"],
        together_seconds=seconds["together"],
        exchange_seconds=seconds["exchange"],
    )
    (folder / NAME).write_text(json.dumps(asdict(result)) + "\n", encoding="utf-8")


def _timer(recipe: Recipe, world: World, clock: Callable[[], float]) -> Callable[[int], float]:
    """Return what times a step over so many samples, without other workers."""
    model = recipe.model.to(world.device)

    def compute(samples: int) -> float:
        chosen = torch.arange(samples) % len(recipe.inputs)
        began = clock()
        inputs = recipe.inputs[chosen].to(world.device)
        model.zero_grad(set_to_none=True)
        recipe.loss(model(inputs), recipe.targets[chosen].to(world.device)).backward()
        if world.device != "cpu":
            torch.cuda.synchronize()
        return clock() - began

    return compute


def _exchange(recipe: Recipe, world: World, clock: Callable[[], float]) -> float:
    """Return the seconds of summing as many bytes as there are gradients."""
    sample = next(recipe.model.parameters())
    count = sum(p.numel() for p in recipe.model.parameters())
    gradients = torch.zeros(count, dtype=sample.dtype, device=world.device)
    _wait(world)
    began = clock()
    if world.size > 1:
        torch.distributed.all_reduce(gradients)
    return clock() - began


def _wait(world: World) -> None:
    if world.size > 1:
        torch.distributed.barrier()


def _longest(seconds: float, world: World) -> float:
    """Return the longest of all workers' times: a step ends with the last of them."""
    found = torch.tensor(seconds, dtype=torch.float64, device=world.device)
    if world.size > 1:
        torch.distributed.all_reduce(found, op=torch.distributed.ReduceOp.MAX)
    return float(found)
