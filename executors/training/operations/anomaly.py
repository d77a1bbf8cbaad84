"""A transformer that finds anomalies in metrics, trained on what came before, by torch.

It learns from the first part of every series, without labels; a threshold is set on the next part,
so that a given share of its values is flagged. Where the rest has labels, they judge: the share of
labelled stretches in which something is flagged, when the same share of all other values is flagged
by the detector and by a robust z-score over the same window.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from executors.tasks.context import BadInputError
from executors.training.operations import exporting, series
from executors.training.operations.anomaly_net import Detector, NextValue
from executors.training.operations.series import Series
from executors.training.operations.template import Order, Template, Trained

torch: Any = importlib.import_module("torch")
_WINDOW = 32
_WIDTH = 24
_HEADS = 2
_BLOCKS = 2
_STEPS = 400
_BATCH = 64
_RATE = 3e-3
_CLIP = 1.0
_FALSE = 0.005
_LEARNED, _CALIBRATED = 0.4, 0.5
"""Where the learned part of a series ends, and the part that sets the threshold."""
_EXAMPLES = 8
_SCORED_AT_ONCE = 2_048
_LOSSES = 10
_SCALE_OF_NORMAL = 1.4826
Windows = NDArray[np.float32]
Scores = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Judged:
    """Scores of values after the calibrated part, where each stands, and whether it is labelled.

    stretch: number of the labelled stretch, -1 outside.
    """

    windows: Windows
    stretch: NDArray[np.int64]


def train(order: Order) -> Trained:
    """Learn, set the threshold, judge.

    Settings: `window` (values, 32), `steps` (of training, 400), `flagged` (share of usual values
    that may be flagged, 0.005), `format` (`onnx` or `torch`), `time`, `value`, `label` (columns).

    Raises:
        BadInputError: when the data or a setting are not what it needs.
    """
    # Sums of several threads round in another order each time.
    torch.set_num_threads(1)
    window = order.whole("window", _WINDOW, least=8, most=512)
    flagged = order.share("flagged", _FALSE)
    wanted = order.weights_format()
    found = series.load_all(order.source, order.settings)
    usable = [each for each in found if len(each.values) * _LEARNED >= 2 * window]
    if not usable:
        raise BadInputError(f"no series of {order.source.name} has {5 * window} values")
    learned = np.vstack([_windows(each, window, 0.0, _LEARNED) for each in usable])
    calibrated = np.vstack([_windows(each, window, _LEARNED, _CALIBRATED) for each in usable])
    torch.manual_seed(order.seed)
    network = NextValue(window, _WIDTH, _HEADS, _BLOCKS)
    losses = _learn(network, learned, order.whole("steps", _STEPS), order)
    threshold = float(np.quantile(scores(network, calibrated), 1.0 - flagged))
    judged = _judged(usable, window)
    ours = found_share(scores(network, judged.windows), judged.stretch, flagged)
    simple = found_share(robust_z(judged.windows), judged.stretch, flagged)
    is_labelled = bool((judged.stretch >= 0).any())
    usual = scores(network, judged.windows[judged.stretch < 0])
    false = float((usual > threshold).mean()) if len(usual) else 0.0
    examples = calibrated[:: max(1, len(calibrated) // _EXAMPLES)][:_EXAMPLES]
    detector = Detector(network, threshold)
    weights = exporting.export(detector, examples, wanted)
    with torch.no_grad():
        labels = detector(torch.from_numpy(examples))[0].tolist()
    stretches = len(set(judged.stretch.tolist()) - {-1})
    quality_name = f"share of {stretches} labelled anomalies found, {flagged:.2%} flagged elsewhere"
    return Trained(
        template=Template.ANOMALY,
        format=wanted,
        weights=weights,
        features=tuple(f"value_{window - 1 - place}_ago" for place in range(window)),
        classes=("usual", "anomaly"),
        example={"rows": examples.astype(float).tolist(), "labels": labels},
        quality_name=quality_name if is_labelled else "share of unlabelled values not flagged",
        quality=ours if is_labelled else 1.0 - false,
        quality_std=_deviation(ours, stretches) if is_labelled else 0.0,
        baseline_name="robust z-score",
        baseline=simple if is_labelled else 1.0 - flagged,
        figures={
            "flagged_elsewhere": false,
            "threshold": threshold,
            "series": float(len(usable)),
            "anomalies": float(stretches),
        },
        losses=losses,
        data=(order.source,),
    )


def scores(network: NextValue, windows: Windows) -> Scores:
    """Return how unlikely the newest value of each window is."""
    network.eval()
    found = []
    with torch.no_grad():
        for start in range(0, len(windows), _SCORED_AT_ONCE):
            part = torch.from_numpy(windows[start : start + _SCORED_AT_ONCE])
            found.append(network.scores(part).numpy())
    return np.concatenate(found).astype(np.float64) if found else np.zeros(0)


def robust_z(windows: Windows) -> Scores:
    """Return how many robust deviations the newest value lies from the middle of the others."""
    past = windows[:, :-1].astype(np.float64)
    middle = np.median(past, axis=1)
    spread = _SCALE_OF_NORMAL * np.median(np.abs(past - middle[:, None]), axis=1)
    spread = spread + 0.01 * np.abs(middle) + 1e-6
    return np.abs(windows[:, -1] - middle) / spread


def found_share(found: Scores, stretch: NDArray[np.int64], flagged: float) -> float:
    """Return the share of labelled stretches with a score above what `flagged` of the others have.

    0 where nothing is labelled.
    """
    numbers = sorted(set(stretch.tolist()) - {-1})
    others = found[stretch < 0]
    if not numbers or not len(others):
        return 0.0
    threshold = np.quantile(others, 1.0 - flagged)
    return float(
        np.mean([bool((found[stretch == number] > threshold).any()) for number in numbers])
    )


def _learn(network: NextValue, windows: Windows, steps: int, order: Order) -> list[float]:
    """Train by the likelihood of every next value; return the mean loss of ten parts."""
    optimiser = torch.optim.AdamW(network.parameters(), lr=_RATE, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=_RATE, total_steps=steps + 1)
    dice = np.random.default_rng(order.seed)
    network.train()
    losses = []
    for _ in range(steps):
        batch = torch.from_numpy(windows[dice.integers(0, len(windows), _BATCH)])
        loss = network.surprises(network.scaled(batch)).mean()
        optimiser.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(network.parameters(), _CLIP)
        optimiser.step()
        schedule.step()
        losses.append(float(loss.detach()))
        order.report.step(loss=losses[-1], gradient_norm=float(norm), samples=len(batch))
    return [float(np.mean(part)) for part in np.array_split(losses, _LOSSES) if len(part)]


def _windows(each: Series, window: int, start: float, end: float) -> Windows:
    """Return the windows whose newest value lies in a part of a series, as shares of its length."""
    count = len(each.values)
    first, last = max(int(start * count), window - 1), int(end * count)
    values = each.values[first - window + 1 : last].astype(np.float32)
    return np.lib.stride_tricks.sliding_window_view(values, window)


def _judged(found: Sequence[Series], window: int) -> _Judged:
    """Return the windows after the calibrated part; a stretch of labels has a number of its own."""
    windows, stretches, number = [], [], 0
    for each in found:
        part = _windows(each, window, _CALIBRATED, 1.0)
        labels = each.labels if each.labels is not None else np.zeros(len(each.values), dtype=bool)
        marks = labels[len(labels) - len(part) :]
        starts = np.diff(marks.astype(np.int8), prepend=0) == 1
        stretches.append(np.where(marks, np.cumsum(starts) - 1 + number, -1))
        number += int(starts.sum())
        windows.append(part)
    return _Judged(np.vstack(windows), np.concatenate(stretches))


def _deviation(share: float, count: int) -> float:
    """Return the standard error of a share of so many."""
    return float(np.sqrt(share * (1.0 - share) / max(count, 1)))
