"""What torchrun starts: one worker of a training, `-m executors.training.parallel.worker`.

Arguments: the recipe as `FILE.py:FUNCTION` or `MODULE:FUNCTION`, the folder, limits. Run without
torchrun it is a world of one.
"""

from __future__ import annotations

import argparse
import importlib
import math
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.model.errors import BerthError
from executors.tasks.reporting import TrainingReport
from executors.training.parallel import batches, facts, loop, probing
from executors.training.parallel.recipe import Recipe
from executors.training.trials.host import LoadError, load

torch: Any = importlib.import_module("torch")
BAD_INPUT = 65
STOPPED_EARLY = 75


def main(arguments: Sequence[str]) -> int:
    """Train, or probe; return the exit code, with the reason on standard error."""
    options = _options(arguments)
    world = _join()
    try:
        recipe = _recipe(options.recipe)
        limits = loop.Limits(
            checkpoint_steps=options.checkpoint_steps,
            seconds_max=options.seconds_max or math.inf,
            memory_bytes=int(options.memory_mib) << 20 or batches.room_bytes(world.device),
        )
        if options.probe:
            probing.measure(recipe, options.folder, world, limits, clock=time.perf_counter)
            return 0
        if world.rank == 0:
            facts.write(options.folder, recipe, device=world.device, workers=world.size)
        report = TrainingReport()
        steps = loop.train(
            recipe, options.folder, world, limits, clock=time.perf_counter, report=report
        )
    except (BerthError, LoadError) as error:
        sys.stderr.write(f"{error}\n")
        return BAD_INPUT
    finally:
        if world.size > 1:
            torch.distributed.destroy_process_group()
    wanted = recipe.epochs * math.ceil(len(recipe.inputs) / recipe.global_batch)
    return 0 if steps == wanted else STOPPED_EARLY


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="worker")
    parser.add_argument("recipe")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--checkpoint-steps", type=int, default=100)
    parser.add_argument("--seconds-max", type=float, default=0.0)
    parser.add_argument("--memory-mib", type=int, default=0)
    parser.add_argument("--probe", action="store_true")
    return parser.parse_args(arguments)


def _join() -> loop.World:
    """Meet the other workers: by NCCL where each has a GPU of its own, else by gloo."""
    size, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    local = int(os.environ.get("LOCAL_RANK", "0"))
    gpu = torch.cuda.is_available() and torch.cuda.device_count() > local
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    if size > 1:
        # Workers that were started again meet in the store of those that died, whose addresses are
        # still in it. Each start has names of its own.
        start = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        store, rank, size = next(torch.distributed.rendezvous("env://"))
        own = torch.distributed.PrefixStore(f"start-{start}", store)
        gpu = _all_have(own, rank, size, gpu=gpu)
        if gpu:
            torch.cuda.set_device(local)
        torch.distributed.init_process_group(
            "nccl" if gpu else "gloo", store=own, rank=rank, world_size=size
        )
    return loop.World(size=size, rank=rank, device=f"cuda:{local}" if gpu else "cpu")


def _all_have(store: Any, rank: int, size: int, *, gpu: bool) -> bool:  # noqa: ANN401 - torch's
    """Whether every worker has a GPU of its own; each tells the first, which tells all."""
    store.set(f"gpu-{rank}", str(int(gpu)))
    if rank == 0:
        having = sum(int(store.get(f"gpu-{each}")) for each in range(size))
        if 0 < having < size:
            said = f"{having} of {size} workers have a GPU of their own; all train on processors\n"
            sys.stderr.write(said)
        store.set("gpus", str(int(having == size)))
    return bool(int(store.get("gpus")))


def _recipe(name: str) -> Recipe:
    """Return what the user's function says.

    Raises:
        LoadError: when there is no such function, or it returns something else.
    """
    function: Any = load(name)[0]
    recipe = function()
    if not isinstance(recipe, Recipe):
        raise LoadError(f"{name!r} returned {type(recipe).__name__}, expected a Recipe")
    return recipe


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
