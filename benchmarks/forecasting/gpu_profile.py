"""GPU memory and GPU use of trainings from their attributes, against measured ones.

Every file `forecasting/gpu-training-profiles*.csv*` has one measured training a row. Three folds
(shuffled, seed 42). Classes are 1,000 MiB wide and scored on the first 70 % of each fold, as
GPUMemNet does (github.com/itu-rad/GPUMemNet); bounds and utilisation on all of it. The estimator
under test is `forecasting.profiles.training`, fitted on the other two folds only. One thing it is
told is not in the files: how many samples the data set of each training has (`SAMPLES`), which
GPUMemNet's published generator fixes. They decide the size of an epoch's last batch.

Beside it stand the figures of the product's own cold start: the profile of a train task that states
its layers, with no run of any task, which follows from the replay alone.
"""

import ast
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks import frame
from engine.model.fleet import Fleet
from engine.model.identifiers import PipelineName, TaskName
from engine.model.networks import Layer
from engine.model.resources import Resource
from engine.model.specs import PipelineSpec, TaskKind, TaskSpec, Wishes
from engine.testing import samples
from forecasting import TaskForecaster
from forecasting.profiles.shapes import TrainingShape
from forecasting.profiles.training import TrainingProfiler, TrainingRun

FOLDS = 3
SEED = 42
CLASS_MIB = 1_000.0
SAMPLES = 4_096
"""In the data set of each training, as GPUMemNet's published generator makes it."""
SCORED_SHARE = 0.7
QUICK_STRIDE = 20
MIB_PER_GIB = 1_024.0
PUBLISHED = "best published 98.38 % and .76 % (GPUMemNet, transformer ensemble)"


def run(context: frame.Context) -> Iterator[frame.Figure]:
    """Yields accuracy, under-estimates, errors and coverage over all files."""
    for path in context.files("forecasting/gpu-training-profiles*.csv*"):
        trainings = _trainings(path)
        yield from _scores(trainings, folds=1 if context.quick else FOLDS)
        yield from _product(trainings[:: QUICK_STRIDE if context.quick else 1])


def _scores(runs: list[TrainingRun], *, folds: int) -> Iterator[frame.Figure]:
    """Yields the figures of one file."""
    order = np.arange(len(runs))
    np.random.RandomState(SEED).shuffle(order)
    parts = []
    for fold, start in enumerate(np.array_split(order, FOLDS)):
        if fold < folds:
            # scikit-learn's `KFold` gives each fold in the order of the rows.
            parts.append(_fold(runs, np.sort(start)))
    table = pd.DataFrame([row for part in parts for row in part])
    scored = table[table.scored]
    by_fold = scored.groupby("fold")
    accuracy = 100.0 * by_fold.apply(lambda part: (part.asked == part.needed).mean()).mean()
    under = 100.0 * by_fold.apply(lambda part: (part.asked < part.needed).mean()).mean()
    error = (table.memory - table.memory_true).abs()
    yield frame.at_least("class accuracy", accuracy, 99.2, unit="%", anchor=PUBLISHED)
    yield frame.at_most("under-estimates", under, 0.2, unit="%", anchor=PUBLISHED)
    yield frame.informs("memory mean absolute error", error.mean(), unit="MiB")
    busy = table[table.percent_true > 0]
    relative = (busy.percent - busy.percent_true).abs() / busy.percent_true
    name = "utilisation mean absolute percentage error"
    yield frame.at_most(name, 100.0 * relative.mean(), 7.5, unit="%", anchor="extra trees 7.7")
    covered = 100.0 * (table.memory_true <= table.bound).mean()
    yield frame.at_least("95 % bound covers at least", covered, 94.0, unit="%")
    yield frame.at_most("95 % bound covers at most", covered, 97.0, unit="%")
    held = table.bound.sum() / table.memory_true.sum()
    yield frame.at_most("memory held by the 95 % bound over memory used", held, 1.03)
    yield frame.informs("fit of one fold", table.fit_seconds.mean(), unit="CPU s")
    yield frame.informs("prediction and update", table.milliseconds.mean(), unit="CPU ms")


def _product(runs: list[TrainingRun]) -> Iterator[frame.Figure]:
    """Yields how near the profiles of tasks are that state these trainings and never ran."""
    fleet = samples.fleet("a")
    told = np.array([_told_mib(run.shape, fleet) for run in runs])
    true = np.array([run.gpu_memory_mib for run in runs])
    off = 100.0 * float((np.abs(told[:, 0] - true) / true).mean())
    name = "profile of a task without any run"
    yield frame.informs(f"{name}: memory mean absolute percentage error", off, unit="%")
    covered = 100.0 * float((true <= told[:, 1]).mean())
    yield frame.at_least(f"{name}: P95 covers at least", covered, 94.0, unit="%")
    held = float(told[:, 1].sum() / true.sum())
    yield frame.informs(f"{name}: memory held by its P95 over memory used", held)


def _told_mib(shape: TrainingShape, fleet: Fleet) -> tuple[float, float]:
    """Returns P50 and P95 of GPU memory that a profile says with nothing but the layers known."""
    layers = (f"{layer.kind} {layer.activations} {layer.parameters}" for layer in shape.layers)
    task = TaskSpec(
        name=TaskName("train"),
        kind=TaskKind.TRAIN,
        command=("train",),
        parameters={
            "network_layers": ", ".join(layers),
            "network_inputs": shape.inputs,
            "batch_size": shape.batch_size,
        },
        wishes=Wishes(gpu_count=1),
    )
    pipeline = PipelineSpec(name=PipelineName("new"), tasks=(task,))
    memory = TaskForecaster().profile(pipeline, task, fleet, []).use[Resource.GPU_MEMORY][0]
    return memory.p50 * MIB_PER_GIB, memory.p95 * MIB_PER_GIB


def _fold(runs: list[TrainingRun], tested: np.ndarray) -> list[dict[str, object]]:
    """Returns what was forecast and measured for each training of one fold."""
    start = time.process_time()
    outside = np.setdiff1d(np.arange(len(runs)), tested)
    profiler = TrainingProfiler([runs[i] for i in outside], seed=SEED)
    fit_seconds = time.process_time() - start
    start = time.process_time()
    profiles = profiler.profile([runs[i].shape for i in tested])
    asked = [profiler.memory_class(profile, class_mib=CLASS_MIB) for profile in profiles]
    milliseconds = 1_000.0 * (time.process_time() - start) / len(tested)
    return [
        {
            "fold": int(tested[0]),
            "scored": place < int(SCORED_SHARE * len(tested)),
            "asked": asked[place],
            "needed": int(runs[i].gpu_memory_mib // CLASS_MIB),
            "memory": profile.gpu_memory_mib,
            "memory_true": runs[i].gpu_memory_mib,
            "bound": profile.gpu_memory_mib_p95,
            "percent": profile.gpu_percent,
            "percent_true": runs[i].gpu_percent,
            "fit_seconds": fit_seconds,
            "milliseconds": milliseconds,
        }
        for place, (i, profile) in enumerate(zip(tested, profiles, strict=True))
    ]


def _trainings(path: Path) -> list[TrainingRun]:
    """Returns the measured trainings of a file."""
    return [
        TrainingRun(
            shape=TrainingShape(
                layers=tuple(
                    Layer(kind=kind, activations=int(out), parameters=int(learned))
                    for kind, out, learned in ast.literal_eval(row["Activations-Params"])
                ),
                inputs=int(_part(row["Filename"], "input")),
                batch_size=int(row["Batch Size"]),
                activation=str(row["Activation Function"]),
                architecture=_part(row["Filename"], "arch"),
                samples=SAMPLES,
            ),
            gpu_memory_mib=float(row["Max GPU Memory (MiB)"]),
            gpu_percent=float(row["Avg GPUTL"]),
        )
        for row in pd.read_csv(path).to_dict("records")
    ]


def _part(name: str, key: str) -> str:
    """Returns the value of a `key:value` pair in a file's name."""
    return name.partition(f"{key}:")[2].partition("_")[0]
