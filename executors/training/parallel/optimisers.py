"""Optimisers for large batches that torch does not have: LARS and LAMB; and all others by name.

LARS: You, Gitman, Ginsburg, "Large batch training of convolutional networks" (2017). LAMB: You et
al., "Large batch optimization for deep learning: training BERT in 76 minutes" (ICLR 2020). Both
scale each layer's step to the size of its weights; vectors (biases, scales of norms) are left out.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from typing import Any

from engine.model.errors import RefusedError

torch: Any = importlib.import_module("torch")
_TINY = 1e-9


class _ByLayer(torch.optim.Optimizer):
    """Moves the weights of one layer after the other, each by its own rule."""

    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # noqa: ANN401 - torch's own
        """Take one step; `closure` computes loss and gradients first, and its loss is returned."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        with torch.no_grad():
            for group in self.param_groups:
                for weights in (p for p in group["params"] if p.grad is not None):
                    self._move(weights, group)
        return loss

    def _move(self, weights: Any, group: dict[str, Any]) -> None:  # noqa: ANN401 - a tensor
        raise NotImplementedError


class Lars(_ByLayer):
    """Momentum with a learning rate of its own for each layer.

    trust: share of the weights' size that a step has at a learning rate of 1.
    """

    def __init__(
        self,
        parameters: Iterable[Any],
        *,
        lr: float,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        trust: float = 0.001,
    ) -> None:
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "trust": trust}
        super().__init__(parameters, defaults)

    def _move(self, weights: Any, group: dict[str, Any]) -> None:  # noqa: ANN401 - a tensor
        gradient, rate = weights.grad, group["lr"]
        if weights.ndim > 1:
            size, slope = weights.norm(), gradient.norm()
            ratio = group["trust"] * size / (slope + group["weight_decay"] * size + _TINY)
            rate = rate * torch.where((size > 0) & (slope > 0), ratio, torch.ones_like(ratio))
            gradient = gradient + group["weight_decay"] * weights
        state = self.state[weights]
        before = state.get("velocity")
        change = rate * gradient
        state["velocity"] = change if before is None else group["momentum"] * before + change
        weights.sub_(state["velocity"])


class Lamb(_ByLayer):
    """Adam whose step is scaled to the size of each layer's weights."""

    def __init__(
        self,
        parameters: Iterable[Any],
        *,
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0.0,
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(parameters, defaults)

    def _move(self, weights: Any, group: dict[str, Any]) -> None:  # noqa: ANN401 - a tensor
        state = self.state[weights]
        if not state:
            state["step"] = 0
            state["mean"] = torch.zeros_like(weights)
            state["square"] = torch.zeros_like(weights)
        state["step"] += 1
        first, second = group["betas"]
        state["mean"].lerp_(weights.grad, 1 - first)
        state["square"].mul_(second).addcmul_(weights.grad, weights.grad, value=1 - second)
        mean = state["mean"] / (1 - first ** state["step"])
        spread = (state["square"] / (1 - second ** state["step"])).sqrt()
        change = mean / (spread + group["eps"])
        rate = group["lr"]
        if weights.ndim > 1:
            change = change + group["weight_decay"] * weights
            size, length = weights.norm(), change.norm()
            ratio = size / (length + _TINY)
            rate = rate * torch.where((size > 0) & (length > 0), ratio, torch.ones_like(ratio))
        weights.sub_(rate * change)


def optimiser(
    name: str, parameters: Iterable[Any], *, rate: float, momentum: float, decay: float
) -> Any:  # noqa: ANN401 - torch's own
    """Return an optimiser by name.

    Raises:
        RefusedError: when there is none of that name.
    """
    if name in {"sgd", "lars"}:
        kind = torch.optim.SGD if name == "sgd" else Lars
        return kind(parameters, lr=rate, momentum=momentum, weight_decay=decay)
    kinds = {
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
        "radam": torch.optim.RAdam,
        "lamb": Lamb,
    }
    if name not in kinds:
        fix = f"one of: {', '.join(['sgd', 'lars', *kinds])}"
        raise RefusedError(f"there is no optimiser {name!r}", fix=fix)
    return kinds[name](parameters, lr=rate, weight_decay=decay)
