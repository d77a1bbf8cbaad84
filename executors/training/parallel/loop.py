"""The loop of data-parallel training: the same steps whatever the number of workers.

Each step takes the next `global_batch` samples of an order that seed and epoch decide. Every worker
takes its slice, in passes of `micro_batch` samples, and gradients are summed over passes and
workers, then divided by the number of samples. So one worker and eight compute the same steps, up
to rounding. Normalisation over a batch is the exception: each worker normalises its own slice.
"""

from __future__ import annotations

import contextlib
import importlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.model.errors import FinalError
from executors.tasks.reporting import SILENT, TrainingReport
from executors.training.parallel import batches, checkpoints, metrics, optimisers, schedules
from executors.training.parallel.recipe import Recipe

torch: Any = importlib.import_module("torch")


class DivergedError(FinalError):
    """The loss is no finite number any more."""

    def __init__(self, step: int, loss: float) -> None:
        super().__init__(
            f"the loss of step {step} is {loss!r}",
            fix="lower the learning rate, or warm it up over more steps",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The workers: how many, which this one is, where it computes."""

    size: int = 1
    rank: int = 0
    device: str = "cpu"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a training may take.

    checkpoint_steps: between checkpoints. seconds_max: after which it stops at a checkpoint.
    memory_bytes: for a pass, where `micro_batch` is to be found.
    """

    checkpoint_steps: int = 100
    seconds_max: float = math.inf
    memory_bytes: int = batches.ROOM_BYTES


def train(
    recipe: Recipe,
    folder: Path,
    world: World,
    limits: Limits,
    *,
    clock: Callable[[], float],
    report: TrainingReport = SILENT,
) -> int:
    """Train from the last checkpoint to the end; return the number of steps taken in all.

    Worker 0 writes `metrics.jsonl` (loss, norm of the gradient and learning rate by step) and
    checkpoints to `folder`, and reports each step. A norm that is no finite number is left out:
    half precision finds its scale by such steps, which change nothing.

    Raises:
        DivergedError: when the loss is no finite number.
        RetryableError: when a checkpoint cannot be written.
    """
    began = clock()
    model = recipe.model.to(world.device)
    parts = Steps(recipe, model, world, limits)
    step = _restore(folder, recipe.model, parts, world)
    steps = recipe.epochs * parts.steps_per_epoch
    with metrics.writer(folder, step, first=world.rank == 0) as write:
        while step < steps:
            loss, late = parts.take(step, late=clock() - began > limits.seconds_max)
            if world.rank == 0:
                report.step(
                    loss=loss, gradient_norm=parts.gradient_norm, samples=parts.samples(step)
                )
            if not math.isfinite(loss):
                raise DivergedError(step, loss)
            step += 1
            line = {"step": step, "loss": loss, "rate": parts.rate(step - 1)}
            if math.isfinite(parts.gradient_norm):
                line["gradient_norm"] = parts.gradient_norm
            write({**line, "seconds": clock() - began})
            if late or step == steps or step % limits.checkpoint_steps == 0:
                _keep(folder, recipe.model, parts, step, world)
            if late:
                break
    return step


class Steps:
    """Takes steps: the model with its gradients in common, its optimiser, its samples."""

    def __init__(self, recipe: Recipe, model: Any, world: World, limits: Limits) -> None:  # noqa: ANN401 - a module
        self._recipe = recipe
        self._world = world
        self._count = len(recipe.inputs)
        self._order: tuple[int, Any] = (-1, None)
        self.gradient_norm = 0.0
        self.steps_per_epoch = math.ceil(self._count / recipe.global_batch)
        slice_size = math.ceil(recipe.global_batch / world.size)
        self._micro = recipe.micro_batch or self._found(model, limits, most=slice_size)
        self._rate = schedules.scaled(
            recipe.learning_rate,
            batch=recipe.global_batch,
            base_batch=recipe.base_batch or recipe.global_batch,
            scaling=recipe.scaling,
        )
        parallel: Any = torch.nn.parallel.DistributedDataParallel
        self._model = parallel(model) if world.size > 1 else model
        self.optimiser = optimisers.optimiser(
            recipe.optimiser,
            model.parameters(),
            rate=self._rate,
            momentum=recipe.momentum,
            decay=recipe.weight_decay,
        )
        self.scaler = torch.amp.GradScaler(
            world.device.partition(":")[0],
            enabled=recipe.half and world.device.startswith("cuda"),
        )

    def _found(self, model: Any, limits: Limits, *, most: int) -> int:  # noqa: ANN401 - a module
        device = self._world.device
        few = slice(0, max(batches.PROBES))
        inputs = self._recipe.inputs[few].to(device)
        targets = self._recipe.targets[few].to(device)
        need = batches.measure(model, inputs, targets, self._recipe.loss)
        return batches.micro_batch(need, memory_bytes=limits.memory_bytes, most=most)

    def rate(self, step: int) -> float:
        """Return the learning rate of a step."""
        return schedules.at_step(self._rate, step, warm_up_steps=self._recipe.warm_up_steps)

    def take(self, step: int, *, late: bool = False) -> tuple[float, bool]:
        """Take one step; return the mean loss over its samples, and whether any worker is late."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate(step)
        self.optimiser.zero_grad(set_to_none=True)
        batch = self._batch(step)
        mine = batch[self._world.rank :: self._world.size]
        total = torch.zeros(2, dtype=torch.float64, device=self._world.device)
        total[1] = float(late)
        passes = max(1, math.ceil(len(mine) / self._micro))
        for number in range(passes):
            chosen = mine[number * self._micro : (number + 1) * self._micro]
            with self._apart(last=number == passes - 1):
                total[0] += self._pass(chosen, samples=len(batch))
        self.gradient_norm = self._norm()
        self.scaler.step(self.optimiser)
        self.scaler.update()
        if self._world.size > 1:
            torch.distributed.all_reduce(total)
        return float(total[0]) / len(batch), bool(total[1] > 0)

    def samples(self, step: int) -> int:
        """Return how many samples a step takes: the last of an epoch may take fewer."""
        before = step % self.steps_per_epoch * self._recipe.global_batch
        return min(self._recipe.global_batch, self._count - before)

    def _norm(self) -> float:
        """Return the norm of the whole gradient, without the scale of half precision."""
        found = [each.grad for each in self._model.parameters() if each.grad is not None]
        norm: float = torch.nn.utils.get_total_norm(found).item()
        return norm / float(self.scaler.get_scale())

    def _batch(self, step: int) -> Any:  # noqa: ANN401 - a tensor
        """Return the indices of the samples of a step, in the order that seed and epoch decide."""
        epoch, place = divmod(step, self.steps_per_epoch)
        if self._order[0] != epoch:
            generator = torch.Generator().manual_seed(self._recipe.seed * 1_000_003 + epoch)
            self._order = epoch, torch.randperm(self._count, generator=generator)
        start = place * self._recipe.global_batch
        return self._order[1][start : start + self._recipe.global_batch]

    def _pass(self, chosen: Any, *, samples: int) -> Any:  # noqa: ANN401 - tensors
        """Run samples forward and back; return their summed loss."""
        device = self._world.device
        inputs = self._recipe.inputs[chosen].to(device)
        targets = self._recipe.targets[chosen].to(device)
        kind = torch.float16 if device.startswith("cuda") else torch.bfloat16
        with torch.autocast(device.partition(":")[0], dtype=kind, enabled=self._recipe.half):
            loss = self._recipe.loss(self._model(inputs), targets)
        # The workers' gradients are averaged, and wanted is the sum over the samples of all.
        self.scaler.scale(loss * (self._world.size / samples)).backward()
        return loss.detach().to(torch.float64)

    def _apart(self, *, last: bool) -> contextlib.AbstractContextManager[Any]:
        """Return a context that keeps gradients of passes but the last to this worker."""
        if last or self._world.size == 1:
            return contextlib.nullcontext()
        found: contextlib.AbstractContextManager[Any] = self._model.no_sync()
        return found


def _restore(folder: Path, model: Any, parts: Steps, world: World) -> int:  # noqa: ANN401 - a module
    """Take up the last checkpoint; return the number of steps it holds."""
    if world.size > 1:
        torch.distributed.barrier()  # all read the same one
    state = checkpoints.load(folder)
    if state is None:
        return 0
    model.load_state_dict(state["model"])
    parts.optimiser.load_state_dict(state["optimiser"])
    parts.scaler.load_state_dict(state["scaler"])
    return int(state["step"])


def _keep(folder: Path, model: Any, parts: Steps, step: int, world: World) -> None:  # noqa: ANN401 - a module
    if world.rank:
        return
    state = {
        "model": model.state_dict(),
        "optimiser": parts.optimiser.state_dict(),
        "scaler": parts.scaler.state_dict(),
        "step": step,
        "workers": world.size,
    }
    checkpoints.save(folder, state)
