"""A served model and its clusters with a virtual clock: real records in, real signals out.

Windows are put together by the model server's own code, references by the features task's; the
model is a real classifier trained on a part of the records, the others are replayed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import numpy as np
from numpy.typing import NDArray

from engine.model.signals import Layer, Shape, Signal
from executors.serving.models import Prediction
from executors.serving.windows import Windows
from executors.tasks.context import Origin, Task
from executors.training.families import Classifier, family
from executors.training.features import describe, split
from simulations.records import Records, Rows

PIPELINE = "heart"
CLUSTERS: Mapping[str, str] = {
    "aws-eu-1": "eu-west-1",
    "aws-eu-2": "eu-west-1",
    "azure-eu-1": "westeurope",
    "azure-us-1": "eastus",
    "onprem-1": "on-premises",
}
"""Clusters with their regions."""


@dataclass(slots=True)
class Recorder:
    """Takes signals where a task would write them; stands in for the `Task` of the executors."""

    pipeline: str = PIPELINE
    labels: Mapping[str, str] = field(default_factory=dict)
    at: float = 0.0
    signals: list[Signal] = field(default_factory=list)

    def signal(
        self,
        origin: Origin,
        name: str,
        value: float,
        *,
        unit: str = "",
        shape: str = "gauge",
        weight: float = 1.0,
    ) -> None:
        """Record a value; times within a window never repeat, as in a real task."""
        self.at += 1e-6
        self.signals.append(
            Signal(
                name=name,
                layer=Layer(origin.layer),
                subject=origin.subject,
                at=self.at,
                value=value,
                unit=unit,
                shape=Shape(shape),
                weight=weight,
                labels={**self.labels, **origin.labels},
            )
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What callers send.

    rows_per_window: expected; noise: standard deviation of the level, as a share.
    in_order: whether records come in the order of the file, over and over, or at random.
    label_share: share of answers whose label arrives in the same window.
    """

    rows_per_window: float = 20.0
    noise: float = 0.1
    in_order: bool = False
    label_share: float = 0.8


class Service:
    """A model trained on some records and asked about the others, window by window."""

    def __init__(self, records: Records, traffic: Traffic, seed: int) -> None:
        self._traffic = traffic
        self._random = np.random.default_rng(seed)
        held_out = split(records.labels, share=0.4, seed=seed)
        self._trained = records.rows[~held_out]
        self._rows, self._labels = records.rows[held_out], records.labels[held_out]
        order = self._random.permutation(len(self._rows))
        self._rows, self._labels = self._rows[order], self._labels[order]
        self._names = records.names
        self._next = 0
        self._requests = 0
        self._recorder = Recorder()
        self._windows = Windows(cast("Task", self._recorder))
        chosen = family("logistic")
        self._model: Classifier = chosen.build(chosen.configurations(1, seed)[0], seed)
        self._model.fit(self._trained, records.labels[~held_out])

    def references(self, at: float, cluster: str) -> list[Signal]:
        """Return what a features task says about the records that were trained on."""
        self._recorder.at, self._recorder.labels = at, _labels(cluster)
        for index, name in enumerate(self._names):
            origin = Origin("features", f"feature:{PIPELINE}/{name}", {"feature": name})
            figures = describe(self._trained[:, index])
            for figure in ("median", "mad", "mean", "sd"):
                rows = len(self._trained)
                self._recorder.signal(origin, f"reference_{figure}", figures[figure], weight=rows)
        return self._take()

    def window(
        self,
        at: float,
        cluster: str,
        *,
        factors: Sequence[tuple[str, float]] = (),
        lost: Sequence[str] = (),
        load: float = 1.0,
    ) -> list[Signal]:
        """Answer the requests of one window and return its signals.

        factors: columns that arrive multiplied; lost: columns that do not arrive at all; load:
            times the usual traffic.
        """
        self._recorder.at, self._recorder.labels = at, _labels(cluster)
        expected = self._traffic.rows_per_window * load
        level = expected * max(0.1, self._random.normal(1.0, self._traffic.noise))
        drawn = self._draw(int(self._random.poisson(level)))
        rows = self._rows[drawn].copy()
        for name, factor in factors:
            rows[:, self._names.index(name)] *= factor
        for name in lost:
            rows[:, self._names.index(name)] = np.nan
        self._answer(rows, self._labels[drawn])
        self._windows.flush(self._names)
        return self._take()

    def _draw(self, count: int) -> list[int]:
        if not self._traffic.in_order:
            return [int(i) for i in self._random.integers(0, len(self._rows), count)]
        found = [(self._next + step) % len(self._rows) for step in range(count)]
        self._next = (self._next + count) % len(self._rows)
        return found

    def _answer(self, rows: Rows, truth: NDArray[np.int64]) -> None:
        """Count one request for each row, and the labels that are there already."""
        if not len(rows):
            return
        answers = np.asarray(self._model.predict(rows), dtype=np.int64)
        for number, label in enumerate(truth):
            self._requests += 1
            one = slice(number, number + 1)
            found = Prediction(labels=answers[one], probabilities=None, rows=rows[one])
            latency_ms = float(self._random.lognormal(1.0, 0.4))
            self._windows.answered(f"q{self._requests}", found, latency_ms)
            if self._random.random() < self._traffic.label_share:
                self._windows.label(f"q{self._requests}", [int(label)])

    def _take(self) -> list[Signal]:
        signals, self._recorder.signals = self._recorder.signals, []
        return signals


class Machines:
    """What the executor measures of each cluster, and of tasks that run there."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)

    def window(self, at: float, down: frozenset[str], busy: Mapping[str, int]) -> list[Signal]:
        """Return the machine signals of one window; `busy`: processes by cluster."""
        found: list[Signal] = []
        for cluster, region in CLUSTERS.items():
            count = 0 if cluster in down else busy.get(cluster, 0)
            values = {
                "reachable": 0.0 if cluster in down else 1.0,
                "cpu_cores_used": count * self._random.uniform(0.5, 0.9),
                "memory_gib_used": count * self._random.uniform(0.2, 0.22),
                "processes": float(count),
            }
            labels = {"cluster": cluster, "region": region}
            found += [
                Signal(
                    name=name,
                    layer=Layer.MACHINE,
                    subject=f"cluster:{cluster}",
                    at=at,
                    value=value,
                    labels=labels,
                )
                for name, value in values.items()
            ]
        return found


def killed(at: float, task: str, cluster: str) -> Signal:
    """Return the signal that a task was killed from outside."""
    return Signal(
        name="exit_killed",
        layer=Layer.MACHINE,
        subject=f"task:{PIPELINE}/{task}",
        at=at,
        value=1.0,
        shape=Shape.COUNT,
        labels=_labels(cluster),
    )


def _labels(cluster: str) -> dict[str, str]:
    return {"pipeline": PIPELINE, "cluster": cluster, "region": CLUSTERS[cluster]}
