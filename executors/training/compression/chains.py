"""A network as a row of layers, each fed by the one before it.

Channels can be removed and layers written down where it is known who reads what. That is so in a
row: `torch.nn.Sequential`, nested or not, of the layers named here.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

from engine.model.errors import RefusedError

torch: Any = importlib.import_module("torch")
nn: Any = torch.nn

WEIGHTED = (nn.Conv2d, nn.Linear)
NORMS = (nn.BatchNorm2d, nn.BatchNorm1d)
SILENT = (nn.Dropout, nn.Identity)
"""Layers that do nothing when the network is used."""
KNOWN = (*WEIGHTED, *NORMS, *SILENT, nn.ReLU, nn.MaxPool2d, nn.AvgPool2d, nn.Flatten)


def layers(model: Any) -> list[Any]:  # noqa: ANN401 - a module
    """Return the layers of a network in order.

    Raises:
        RefusedError: when it is no row of known layers.
    """
    found = list(_flat(model))
    faults = sorted({type(layer).__name__ for layer in found if not _usable(layer)})
    if faults or not any(isinstance(layer, WEIGHTED) for layer in found):
        said = ", ".join(faults) or "no layer with weights"
        known = ", ".join(kind.__name__ for kind in KNOWN)
        message = f"the network has {said}; it must be a Sequential of {known}"
        raise RefusedError(message, fix="give the part of the network that is a Sequential")
    return found


def rebuilt(row: Sequence[Any]) -> Any:  # noqa: ANN401 - a module
    """Return a network of these layers."""
    return nn.Sequential(*row)


def _flat(model: Any) -> list[Any]:  # noqa: ANN401 - a module
    if isinstance(model, nn.Sequential):
        return [layer for child in model for layer in _flat(child)]
    return [model]


def _usable(layer: Any) -> bool:  # noqa: ANN401 - a module
    if isinstance(layer, nn.Conv2d):
        return bool(layer.groups == 1 and layer.padding_mode == "zeros" and layer.padding != "same")
    if isinstance(layer, nn.MaxPool2d):
        return not layer.ceil_mode and bool(layer.dilation in {1, (1, 1)})
    if isinstance(layer, nn.Flatten):
        return bool(layer.start_dim == 1 and layer.end_dim == -1)
    return isinstance(layer, KNOWN)
