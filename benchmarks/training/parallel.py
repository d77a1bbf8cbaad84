"""Data-parallel training: the same loss curve as one worker, and its speed-up as predicted.

A convolutional network is trained in float64 by one and by two workers (torchrun, gloo) with equal
global batch; the largest difference between the curves is reported, also when workers are killed
and when training goes on with another number of them. Then rounds of probe, one worker, two
workers: the speed-up that the planner predicts from the probe against the one measured, for a
network that pays and for one that does not.
"""

import argparse
import itertools
import json
import os
import signal
import statistics
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil

from benchmarks import frame
from executors.training.parallel import launch, metrics, prediction

WORKERS = 2
VARIABLE = "BERTH_BENCH_RECIPE"  # read by _networks, which imports torch and so is not imported
LIMIT_SECONDS = 600.0
ROUNDS, QUICK_ROUNDS = 3, 1
RECIPE = "benchmarks.training._networks:recipe"
CURVE = {"double": True, "rows": 2_000, "batch": 200, "epochs": 2, "micro": 64, "warm_up": 5}
TIMED: Mapping[str, Mapping[str, object]] = {
    "convolutions, batch 1024": {"rows": 8_192, "batch": 1_024, "micro": 1_024, "epochs": 2},
    "convolutions, batch 256": {"rows": 4_096, "batch": 256, "micro": 256, "epochs": 2},
    "perceptron, batch 64": {"network": "perceptron", "rows": 8_192, "batch": 64, "epochs": 2},
}
ANCHORS = {
    "convolutions, batch 1024": "2.3",
    "convolutions, batch 256": "1.30",
    "perceptron, batch 64": "0.43",
}


def add_options(group: argparse._ArgumentGroup) -> None:
    """Adds the option of this benchmark."""
    group.add_argument("--only", default="", help="only networks whose name holds this, no curves")


def run(context: frame.Context) -> Iterator[frame.Figure]:
    """Yields the figures of curves and of predictions."""
    only = str(context.options.get("only", ""))
    if not only:
        yield from curves(context.scratch)
    for name, wanted in TIMED.items():
        if only not in name:
            continue
        yield from predicted(context.scratch / name.replace(" ", "-"), name, wanted, context)


def curves(scratch: Path) -> Iterator[frame.Figure]:
    """Yields the differences between loss curves."""
    one = losses(train(scratch / "one", CURVE, workers=1))
    two = losses(train(scratch / "two", CURVE, workers=WORKERS))
    yield frame.informs("steps of a curve", len(one), anchor=f"loss {one[0]:.3f} to {one[-1]:.3f}")
    yield frame.at_most("two workers against one, largest difference", apart(one, two), 1e-5)
    killed = losses(train(scratch / "killed", CURVE, workers=WORKERS, kill=True))
    yield frame.at_most("a worker killed by kill -9, the same", apart(one, killed), 1e-5)
    half = {**CURVE, "epochs": 1}
    train(scratch / "elastic", half, workers=WORKERS)
    elastic = losses(train(scratch / "elastic", CURVE, workers=1))
    yield frame.at_most("two workers, then one, the same", apart(one, elastic), 1e-5)


def train(
    folder: Path, wanted: Mapping[str, object], *, workers: int, kill: bool = False
) -> list[dict[str, float]]:
    """Returns the metrics of a training."""
    os.environ[VARIABLE] = json.dumps(wanted)
    program = launch.recipe_program(RECIPE, folder, ["--checkpoint-steps", "5"])
    if kill:
        threading.Thread(target=kill_worker, args=[folder], daemon=True).start()
    code = launch.run(launch.Start(workers=workers), program, folder, seconds_max=LIMIT_SECONDS)
    if code:
        lines = (folder / "log.txt").read_text(encoding="utf-8").splitlines()[-5:]
        raise frame.BenchmarkError("\n".join([f"training ended with {code}", *lines]))
    return metrics.read(folder / metrics.NAME)


def kill_worker(folder: Path) -> None:
    """Kills one of this training's workers after some steps."""
    until = time.monotonic() + LIMIT_SECONDS
    while time.monotonic() < until:
        if len(metrics.read(folder / metrics.NAME)) > 7:
            break
        time.sleep(0.02)
    for process in psutil.Process().children(recursive=True):
        words = process.cmdline()
        if str(folder) in words and not any("torch.distributed.run" in word for word in words):
            process.send_signal(signal.SIGKILL)
            print(f"killed worker {process.pid} of {folder.name}")
            return


def losses(lines: list[dict[str, float]]) -> list[float]:
    """Returns the loss of every step, each exactly once."""
    steps = [int(line["step"]) for line in lines]
    if steps != list(range(1, len(steps) + 1)):
        raise frame.BenchmarkError(f"steps are missing or doubled: {steps}")
    return [line["loss"] for line in lines]


def apart(first: list[float], second: list[float]) -> float:
    """Returns the largest difference of two curves of equal length."""
    return max(abs(a - b) for a, b in zip(first, second, strict=True))


def predicted(
    scratch: Path, name: str, wanted: Mapping[str, object], context: frame.Context
) -> Iterator[frame.Figure]:
    """Yields the predicted and the measured speed-up of one network."""
    said: list[float] = []
    seen: list[float] = []
    for number in range(QUICK_ROUNDS if context.quick else ROUNDS):
        folder = scratch / str(number)
        seconds = [
            step_seconds(train(folder / str(workers), wanted, workers=workers))
            for workers in (1, WORKERS)
        ]
        os.environ[VARIABLE] = json.dumps(wanted)
        program = launch.recipe_program(RECIPE, folder, ["--probe"])
        launch.run(launch.Start(workers=WORKERS), program, folder, seconds_max=LIMIT_SECONDS)
        said.append(prediction.read(folder).speed_up)
        seen.append(seconds[0] / seconds[1])
    print(
        f"{name}: predicted {[round(v, 2) for v in said]}, measured {[round(v, 2) for v in seen]}"
    )
    foreseen, measured = statistics.median(said), statistics.median(seen)
    yield frame.informs(f"{name}: speed-up of two workers", measured, anchor=ANCHORS[name])
    away = abs(foreseen - measured) / measured
    yield frame.at_most(f"{name}: prediction off by", 100 * away, 20, unit="%")


def step_seconds(lines: list[dict[str, float]]) -> float:
    """Returns the seconds of a step while nobody else was at work."""
    at = [line["seconds"] for line in lines]
    return prediction.quiet([later - before for before, later in itertools.pairwise(at)])
