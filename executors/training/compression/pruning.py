"""Structured pruning: whole channels are removed, with everything that only they feed.

The channels of a layer with weights, their entries in a norm behind it and the inputs of the next
layer form groups. A group whose weights and bias are nought passes on nought, so that removing it
leaves the network's answers as they are: the zero-invariant groups of Chen et al. ("Only train
once", NeurIPS 2021). Here the groups that matter least are set to nought and removed at once, and
what that costs is learned again. How much a group matters is the size of its weights times that
of the weights that read it (a first-order estimate of what removing it changes).
"""

from __future__ import annotations

import copy
import importlib
import itertools
from typing import Any

from executors.training.compression import chains

torch: Any = importlib.import_module("torch")
_CHANNELS_MIN = 2


def pruned(model: Any, share: float) -> Any:  # noqa: ANN401 - a module
    """Return a copy without that share of the channels of every layer but the last."""
    row = [copy.deepcopy(layer) for layer in chains.layers(model)]
    weighted = [place for place, layer in enumerate(row) if isinstance(layer, chains.WEIGHTED)]
    with torch.no_grad():
        for place, reader in itertools.pairwise(weighted):
            kept = _kept(row[place], row[reader], share)
            _narrow(row, place, reader, kept)
    return chains.rebuilt(row)


def importance(layer: Any, reader: Any) -> Any:  # noqa: ANN401 - modules, a tensor
    """Return how much each channel of a layer matters to the layer that reads it."""
    channels = layer.weight.shape[0]
    own = layer.weight.flatten(1).norm(dim=1)
    # A full layer behind `Flatten` reads every place of a channel by weights of its own.
    read = reader.weight.transpose(0, 1).reshape(channels, -1).norm(dim=1)
    return own * read


def _kept(layer: Any, reader: Any, share: float) -> Any:  # noqa: ANN401 - modules, a tensor
    scores = importance(layer, reader)
    count = max(round(len(scores) * (1 - share)), min(_CHANNELS_MIN, len(scores)))
    return scores.argsort(descending=True, stable=True)[:count].sort().values


def _narrow(row: list[Any], place: int, reader: int, kept: Any) -> None:  # noqa: ANN401 - a tensor
    """Remove all but the kept channels between a layer and the one that reads it."""
    channels = row[place].weight.shape[0]
    _cut(row[place], "weight", kept)
    if row[place].bias is not None:
        _cut(row[place], "bias", kept)
    name = "out_channels" if isinstance(row[place], chains.nn.Conv2d) else "out_features"
    setattr(row[place], name, len(kept))
    for between in row[place + 1 : reader]:
        if isinstance(between, chains.NORMS):
            _narrow_norm(between, channels, kept)
    weight = row[reader].weight
    each = weight.shape[1] // channels  # places of a channel behind `Flatten`, else 1
    grouped = weight.reshape(weight.shape[0], channels, each, *weight.shape[2:])
    left = grouped[:, kept].reshape(weight.shape[0], len(kept) * each, *weight.shape[2:])
    row[reader].weight = torch.nn.Parameter(left.clone())
    name = "in_channels" if isinstance(row[reader], chains.nn.Conv2d) else "in_features"
    setattr(row[reader], name, len(kept) * each)


def _narrow_norm(norm: Any, channels: int, kept: Any) -> None:  # noqa: ANN401 - a module, a tensor
    each = norm.num_features // channels
    places = (kept[:, None] * each + torch.arange(each)).flatten()
    for name in ("weight", "bias"):
        if getattr(norm, name) is not None:
            _cut(norm, name, places)
    for name in ("running_mean", "running_var"):
        if getattr(norm, name) is not None:
            setattr(norm, name, getattr(norm, name)[places].clone())
    norm.num_features = len(places)


def _cut(layer: Any, name: str, kept: Any) -> None:  # noqa: ANN401 - a module, a tensor
    setattr(layer, name, torch.nn.Parameter(getattr(layer, name)[kept].clone()))
