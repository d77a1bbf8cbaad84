"""Low-rank factorisation: a full layer becomes two thin ones where that takes fewer operations.

The singular values that hold a given share of the layer's energy are kept (Denton et al., NeurIPS
2014). Convolutions are left to pruning.
"""

from __future__ import annotations

import importlib
from typing import Any

from executors.training.compression import chains

torch: Any = importlib.import_module("torch")


def factorised(model: Any, energy: float) -> Any:  # noqa: ANN401 - a module
    """Return a network whose full layers keep `energy` of their squared singular values."""
    row: list[Any] = []
    for layer in chains.layers(model):
        row += _split(layer, energy) if isinstance(layer, chains.nn.Linear) else [layer]
    return chains.rebuilt(row)


def _split(layer: Any, energy: float) -> list[Any]:  # noqa: ANN401 - a module
    """Return two layers in the place of one, or the one where two would do more."""
    outputs, inputs = layer.weight.shape
    with torch.no_grad():
        left, values, right = torch.linalg.svd(layer.weight, full_matrices=False)
        shares = (values**2).cumsum(0) / (values**2).sum()
        rank = int((shares < energy).sum()) + 1
        if rank * (outputs + inputs) >= outputs * inputs:
            return [layer]
        first = torch.nn.Linear(inputs, rank, bias=False, dtype=layer.weight.dtype)
        second = torch.nn.Linear(rank, outputs, bias=layer.bias is not None, dtype=left.dtype)
        root = values[:rank].sqrt()
        first.weight.copy_(root[:, None] * right[:rank])
        second.weight.copy_(left[:, :rank] * root)
        if layer.bias is not None:
            second.bias.copy_(layer.bias)
    return [first, second]
