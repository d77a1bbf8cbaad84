"""Operations, accuracy and latency of a convolutional network before and after compression.

The network is trained on Fashion-MNIST, then pruned by whole channels with fine-tuning, factorised,
written as ONNX and in 8 bits, each step within the budget. Accuracy is that on the test images,
which chose nothing: the budget is held on validation rows. Latency is of one image on one thread,
all forms asked in turn.
"""

import argparse
import importlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import frame
from benchmarks.training import _fashion

TRAIN_ROWS, VALIDATION_ROWS, TEST_ROWS = 20_000, 5_000, 10_000
QUICK_TRAIN_ROWS = 5_000
BUDGET = 0.01
"""Held on validation rows; the bar on the test rows is 1.5 points."""
EPOCHS, TUNING_EPOCHS, BATCH = 8, 2, 128
Images = NDArray[np.float32]
Labels = NDArray[np.int64]


def add_options(group: argparse._ArgumentGroup) -> None:
    """Adds the options of this benchmark."""
    group.add_argument("--fashion", type=Path, default=_fashion.folder(), help="folder of images")


def run(context: frame.Context) -> Iterator[frame.Figure]:
    """Yields the figures of the network as trained and as compressed."""
    os.environ[_fashion.VARIABLE] = str(context.options["fashion"])
    if not (_fashion.folder() / "train-images-idx3-ubyte.gz").exists():
        raise frame.BenchmarkError(
            f"training.compress is not run: no Fashion-MNIST in {str(_fashion.folder())!r}; "
            f"install Debian's {_fashion.PACKAGE}, or name its folder with --fashion"
        )
    networks: Any = importlib.import_module("benchmarks.training._networks")
    compressing: Any = importlib.import_module("executors.training.compression.compressing")
    export: Any = importlib.import_module("executors.training.compression.export")
    torch: Any = importlib.import_module("torch")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    rows = QUICK_TRAIN_ROWS if context.quick else TRAIN_ROWS
    images, labels = read("train", rows + VALIDATION_ROWS)
    model = networks.convolutional()
    fit(torch, model, images[:rows], labels[:rows], epochs=EPOCHS)
    result = compressing.compress(
        compressing.Task(
            model=model,
            tune=lambda network: fit(
                torch, network, images[:rows], labels[:rows], epochs=TUNING_EPOCHS
            ),
            rows=images[rows:],
            labels=labels[rows:],
            calibration=images[:256],
            budget=BUDGET,
        ),
        clock=time.perf_counter,
    )
    print(result.table())
    yield from figures(result, export, model)


def read(part: str, rows: int) -> tuple[Images, Labels]:
    """Returns (n, 1, 28, 28) images and classes."""
    pixels, labels = _fashion.read(part, rows=rows)
    return np.ascontiguousarray(pixels).reshape(-1, 1, 28, 28), labels


def fit(torch: Any, model: Any, images: Images, labels: Labels, *, epochs: int) -> None:
    """Trains by Adam with a rate that falls to nought."""
    model.train()
    steps = epochs * (len(images) // BATCH)
    optimiser = torch.optim.Adam(model.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.05, steps)
    inputs, targets = torch.from_numpy(images), torch.from_numpy(labels)
    generator = torch.Generator().manual_seed(0)
    for _ in range(epochs):
        for chosen in torch.randperm(len(images), generator=generator).split(BATCH):
            optimiser.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(inputs[chosen]), targets[chosen])
            loss.backward()
            optimiser.step()
            schedule.step()
    model.eval()


def figures(result: Any, export: Any, model: Any) -> Iterator[frame.Figure]:
    """Yields the figures."""
    images, labels = read("t10k", TEST_ROWS)
    before = right(export.eager(model), images, labels)
    after = right(export.session(result.onnx), images, labels)
    first, chosen = result.forms[0], result.chosen
    fewer = 100 * (1 - chosen.multiply_adds / first.multiply_adds)
    yield frame.at_least("operations saved", fewer, 70, unit="%", anchor="torch-pruning 73 %")
    yield frame.informs("accuracy on test images as trained", before, anchor=".8865")
    lost = 100 * (before - after)
    yield frame.at_most("points of it lost", lost, 1.5, anchor="torch-pruning 1.36")
    faster = first.latency_seconds / chosen.latency_seconds
    yield frame.at_least("times faster than eager torch", faster, 4, anchor="ONNX 4, pruned ONNX 7")
    yield frame.informs("latency of the chosen form", 1e6 * chosen.latency_seconds, unit="us")
    smaller = first.size_bytes / chosen.size_bytes
    yield frame.informs("times smaller", smaller, anchor="pruned and 8 bits 14")


def right(answer: Any, images: Images, labels: Labels) -> float:
    """Returns the share of images classified right."""
    return float((answer(images).argmax(axis=1) == labels).mean())
