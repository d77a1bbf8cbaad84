"""What is trained, as a user's function says it: `def recipe() -> Recipe`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A model with its data and how it is trained.

    model: a `torch.nn.Module`, seeded by the function itself. inputs, targets: tensors whose first
    dimension counts samples. loss: of outputs and targets, summed over samples.
    optimiser: `sgd`, `adam`, `adamw`, `radam`, `lars` or `lamb`. global_batch: samples in a step,
    over all workers. learning_rate: at a global batch of `base_batch`; with another one it is
    scaled (`linear` or `root`; `none` leaves it). warm_up_steps: over which it rises from nought.
    micro_batch: samples in one pass; 0 for as many as the memory holds. half: mixed precision.
    """

    model: Any
    inputs: Any
    targets: Any
    loss: Callable[[Any, Any], Any]
    epochs: int = 1
    optimiser: str = "sgd"
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 0.0
    global_batch: int = 256
    base_batch: int = 0
    scaling: str = "linear"
    warm_up_steps: int = 0
    micro_batch: int = 0
    half: bool = False
    seed: int = 0
