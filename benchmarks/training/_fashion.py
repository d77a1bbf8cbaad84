"""Fashion-MNIST from Debian's package, and a network of one hidden layer as an objective.

The folder is that of `dataset-fashion-mnist`, or the one named by BERTH_FASHION_MNIST.
"""

import functools
import gzip
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from executors.training.trials import Trial

VARIABLE = "BERTH_FASHION_MNIST"
PACKAGE = "dataset-fashion-mnist"
DEFAULT = "/usr/share/datasets/fashion-mnist"
TRAIN_ROWS, VALIDATION_ROWS = 10_000, 5_000
SPACE = (
    "lr=0.001..0.3 log",
    "hidden=32..192 log",
    "batch=32|64|128|256",
    "momentum=0.0..0.95",
    "decay=0.000001..0.003 log",
)

Images = NDArray[np.float32]
Labels = NDArray[np.int64]


def folder() -> Path:
    """Returns the folder of the data, which may be absent."""
    return Path(os.environ.get(VARIABLE) or DEFAULT)


def read(part: str, *, rows: int | None = None) -> tuple[Images, Labels]:
    """Returns (n, 784) images from 0 to 1 and their classes; `part` is `train` or `t10k`."""
    with gzip.open(folder() / f"{part}-images-idx3-ubyte.gz") as file:
        wanted = -1 if rows is None else 16 + 784 * rows
        pixels = np.frombuffer(file.read(wanted), np.uint8, offset=16).reshape(-1, 784)
    with gzip.open(folder() / f"{part}-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read(), np.uint8, offset=8)[:rows]
    return pixels.astype(np.float32) / np.float32(255), labels.astype(np.int64)


@functools.cache
def prepare() -> tuple[Images, Labels, Images, Labels]:
    """Reads training and validation rows once, before trials are forked."""
    images, labels = read("train", rows=TRAIN_ROWS + VALIDATION_ROWS)
    images = images - images[:TRAIN_ROWS].mean(axis=0)
    cut = TRAIN_ROWS
    return images[:cut], labels[:cut], images[cut:], labels[cut:]


def objective(trial: Trial) -> None:
    """Trains by stochastic gradient descent with momentum; reports after every epoch."""
    images, labels, others, other_labels = prepare()
    state = trial.load()
    weights = _first(int(trial.parameters["hidden"]), trial)
    if state is not None:
        weights = {name: value.astype(np.float32) for name, value in state.items()}
    for epoch in trial.epochs():
        generator = np.random.default_rng([trial.seed, epoch])
        order = generator.permutation(len(images))
        for start in range(0, len(order), int(trial.parameters["batch"])):
            chosen = order[start : start + int(trial.parameters["batch"])]
            _step(weights, images[chosen], labels[chosen], trial)
        loss, accuracy = _judge(weights, others, other_labels)
        trial.save(weights)
        trial.report(loss=loss, accuracy=accuracy)


def _first(hidden: int, trial: Trial) -> dict[str, Images]:
    """Returns weights as He et al. start them, and velocities of nought."""
    generator = np.random.default_rng(trial.seed)
    found: dict[str, Images] = {
        "a": (generator.standard_normal((784, hidden)) * np.sqrt(2 / 784)).astype(np.float32),
        "b": np.zeros(hidden, np.float32),
        "c": (generator.standard_normal((hidden, 10)) * np.sqrt(2 / hidden)).astype(np.float32),
        "d": np.zeros(10, np.float32),
    }
    return {**found, **{f"v{name}": np.zeros_like(value) for name, value in found.items()}}


def _forward(weights: dict[str, Images], images: Images) -> tuple[Images, Images]:
    hidden = np.maximum(images @ weights["a"] + weights["b"], 0)
    values = hidden @ weights["c"] + weights["d"]
    values -= values.max(axis=1, keepdims=True)
    chances = np.exp(values)
    return hidden, chances / chances.sum(axis=1, keepdims=True)


def _step(weights: dict[str, Images], images: Images, labels: Labels, trial: Trial) -> None:
    hidden, error = _forward(weights, images)
    error[np.arange(len(labels)), labels] -= 1
    error /= len(labels)
    back = (error @ weights["c"].T) * (hidden > 0)
    gradients = {
        "a": images.T @ back,
        "b": back.sum(axis=0),
        "c": hidden.T @ error,
        "d": error.sum(axis=0),
    }
    rate, momentum = np.float32(trial.parameters["lr"]), np.float32(trial.parameters["momentum"])
    decay = np.float32(trial.parameters["decay"])
    for name, gradient in gradients.items():
        velocity = momentum * weights[f"v{name}"] + gradient + decay * weights[name]
        weights[f"v{name}"] = velocity
        weights[name] = weights[name] - rate * velocity


def _judge(weights: dict[str, Images], images: Images, labels: Labels) -> tuple[float, float]:
    """Returns mean log loss and accuracy."""
    chances = _forward(weights, images)[1]
    own = chances[np.arange(len(labels)), labels].astype(np.float64)
    right = chances.argmax(axis=1) == labels
    return float(-np.log(np.maximum(own, 1e-12)).mean()), float(right.mean())
