"""What a recipe trains on and how, for the record of its training: `recipe.json`.

The first worker writes it before the first step: digests of the samples themselves, wherever they
came from, and every setting.
"""

from __future__ import annotations

import hashlib
import importlib
import json
from dataclasses import fields
from pathlib import Path
from typing import Any

from executors.training.parallel.recipe import Recipe

torch: Any = importlib.import_module("torch")
NAME = "recipe.json"


def write(folder: Path, recipe: Recipe, *, device: str, workers: int) -> None:
    """Write what a recipe says, in the parts of a record (`executors.tasks.records`)."""
    settings = {each.name: getattr(recipe, each.name) for each in fields(recipe)}
    parameters = {k: v for k, v in settings.items() if isinstance(v, str | int | float | bool)}
    parameters["loss"] = getattr(recipe.loss, "__qualname__", type(recipe.loss).__name__)
    parameters["weights"] = sum(each.numel() for each in recipe.model.parameters())
    found = {
        "data": {"inputs": digest(recipe.inputs), "targets": digest(recipe.targets)},
        "parameters": {**parameters, "workers": workers},
        "environment": {"device": device, "threads": str(torch.get_num_threads())},
    }
    text = json.dumps(found, sort_keys=True, indent=1)
    (folder / NAME).write_text(text + "\n", encoding="utf-8")


def digest(tensor: Any) -> str:  # noqa: ANN401 - a tensor
    """Return the SHA-256 of a tensor's type, shape and values."""
    hasher = hashlib.sha256(f"{tensor.dtype} {tuple(tensor.shape)}\0".encode())
    hasher.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return f"sha256:{hasher.hexdigest()}"
