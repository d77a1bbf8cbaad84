"""Counts what a network does for one sample: multiply-adds of its layers with weights."""

from __future__ import annotations

import importlib
import io
from typing import Any

from executors.training.compression import chains

torch: Any = importlib.import_module("torch")


def multiply_adds(model: Any, sample: Any) -> int:  # noqa: ANN401 - a module, a tensor
    """Return the multiply-adds of one sample, shaped (1, ...)."""
    total = 0
    was_training = model.training
    model.eval()
    with torch.no_grad():
        values = sample
        for layer in chains.layers(model):
            values = layer(values)
            if isinstance(layer, chains.nn.Conv2d):
                each = layer.in_channels * layer.kernel_size[0] * layer.kernel_size[1]
                total += values.numel() * each
            elif isinstance(layer, chains.nn.Linear):
                total += values.numel() * layer.in_features
    model.train(was_training)
    return total


def parameters(model: Any) -> int:  # noqa: ANN401 - a module
    """Return the number of weights."""
    return sum(p.numel() for p in model.parameters())


def size_bytes(model: Any) -> int:  # noqa: ANN401 - a module
    """Return the bytes of the weights as torch saves them."""
    buffer = io.BytesIO()
    torch.save(model.state_dict(), buffer)
    return buffer.tell()
