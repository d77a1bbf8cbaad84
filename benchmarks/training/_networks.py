"""Networks of the training benchmarks as recipes, on Fashion-MNIST or on digits made by a seed.

torchrun loads this file by its path in every worker; `BERTH_BENCH_RECIPE` says what is wanted.
"""

import importlib
import json
import os
from typing import Any

import numpy as np

from benchmarks.training import _fashion
from executors.training.parallel.recipe import Recipe

torch: Any = importlib.import_module("torch")
VARIABLE = "BERTH_BENCH_RECIPE"


def images(rows: int) -> tuple[Any, Any]:
    """Returns (n, 1, 28, 28) images and classes; made by a seed where there are no real ones."""
    if (_fashion.folder() / "train-images-idx3-ubyte.gz").exists():
        pixels, labels = _fashion.read("train", rows=rows)
    else:
        generator = np.random.default_rng(0)
        labels = generator.integers(0, 10, rows)
        patterns = generator.random((10, 784)).astype(np.float32)
        pixels = patterns[labels] + 0.3 * generator.standard_normal((rows, 784)).astype(np.float32)
    shaped = torch.from_numpy(np.ascontiguousarray(pixels)).reshape(-1, 1, 28, 28)
    return shaped, torch.from_numpy(np.ascontiguousarray(labels))


def convolutional(width: int = 16) -> Any:
    """Returns a network of two convolutions and two full layers."""
    nn = torch.nn
    return nn.Sequential(
        *(nn.Conv2d(1, width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(width, 2 * width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(2 * width * 49, 64), nn.ReLU(), nn.Linear(64, 10)),
    )


def perceptron() -> Any:
    """Returns a network of one hidden layer."""
    nn = torch.nn
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))


def summed(outputs: Any, targets: Any) -> Any:
    """Returns the log loss, summed over samples."""
    return torch.nn.functional.cross_entropy(outputs, targets, reduction="sum")


def recipe() -> Recipe:
    """Returns the recipe that the variable asks for."""
    wanted = json.loads(os.environ.get(VARIABLE, "{}"))
    torch.manual_seed(1)
    width = wanted.get("width", 16)
    model = perceptron() if wanted.get("network") == "perceptron" else convolutional(width)
    inputs, targets = images(wanted.get("rows", 2_000))
    if wanted.get("double", False):
        model, inputs = model.double(), inputs.double()
    return Recipe(
        model=model,
        inputs=inputs,
        targets=targets,
        loss=summed,
        epochs=wanted.get("epochs", 1),
        global_batch=wanted.get("batch", 256),
        micro_batch=wanted.get("micro", 0),
        optimiser=wanted.get("optimiser", "sgd"),
        learning_rate=wanted.get("rate", 0.05),
        warm_up_steps=wanted.get("warm_up", 0),
        half=wanted.get("half", False),
        seed=1,
    )
