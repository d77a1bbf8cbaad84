"""Pipelines with faults as signals and events: synthetic, with noise that follows from a seed.

Load has a daily season and more scatter than chance alone, latency wanders, quality is counted
from few labels. All values are drawn; no model is trained here (`simulations.service` does that).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from engine.model.alarms import Event
from engine.model.signals import Layer, Shape, Signal
from simulations.deployments import Change, Effect
from simulations.faults import Fault

WINDOW_SECONDS = 600.0
DAY_WINDOWS = 144
ETL_EVERY = 12
BENIGN_PER_WINDOW = 1 / 200
"""Changes that break nothing: one in a day and a half for each pipeline."""
COLUMNS: tuple[tuple[str, float, float, str, float], ...] = (
    ("chol", 246.0, 52.0, "mmol/L", 38.67),
    ("pressure_bp", 131.0, 17.0, "kPa", 7.50062),
    ("weight", 78.0, 14.0, "lb", 0.45359237),
    ("height", 171.0, 9.0, "in", 2.54),
    ("age", 54.0, 9.0, "months", 1 / 12),
)
"""Columns with mean and deviation, and a unit in which they may arrive instead: its factor."""


@dataclass(slots=True)
class Pipeline:
    """One served model, with what a training learned and what is wrong now.

    is_broken: whether the image that serves has the fault. windows_broken: how long the fault was.
    """

    name: str
    cluster: str
    fault: Fault
    random: np.random.Generator
    gpu_hours: float
    columns: tuple[tuple[str, float, float, str, float], ...]
    requests: float
    labels: float
    latency_ms: float
    quality: float
    wander: float = 0.0
    is_cured: bool = False
    is_broken: bool = False
    shifted: float = 0.0
    reference_shift: float = 0.0
    sent: int = 0
    windows_broken: int = 0

    @property
    def unit(self) -> str:
        """The parameter that reads the changed column right, and the unit it arrives in."""
        return f"etl.unit.{self.columns[0][0]}"

    def changes(self, window: int, at: float) -> Iterator[Change]:
        """Yield what changed in a window: the change that is the fault, and harmless ones.

        An image that was rolled back needs nobody to set it back.
        """
        fault = self.fault
        if window == fault.begins and self.is_deployed:
            event = self._event(at - self._lead(), "deployment", "image 7 serves instead of 6")
            yield Change(event=event, effect=Effect.BREAKS)
        if window == fault.begins and "configuration" in fault.name:
            event = self._event(
                at - self._lead(), "configuration", "the batching of requests changed"
            )
            yield Change(event=event, effect=Effect.NOTHING)
        if window == fault.ends and fault.name.endswith(("code", "configuration")):
            kind = "deployment" if self.is_deployed else "configuration"
            if self.is_broken or not self.is_deployed:
                event = self._event(at, kind, "set back to what was before")
                yield Change(event=event, effect=Effect.SETS_BACK)
        if fault.routine is not None and window == fault.begins + fault.routine:
            event = self._event(at - self._lead(), "deployment", "a routine change")
            yield Change(event=event, effect=Effect.NOTHING)
        if self.random.random() < BENIGN_PER_WINDOW:
            kind = str(self.random.choice(["deployment", "configuration"]))
            event = self._event(at - self._lead(), kind, "a routine change")
            yield Change(event=event, effect=Effect.NOTHING)

    @property
    def is_deployed(self) -> bool:
        """Whether a deployment is its fault."""
        return "code" in self.fault.name

    def part(self, window: int) -> float:
        """Return how much of the fault is there: all of it while a broken image serves."""
        if self.is_deployed:
            return float(self.is_broken)
        return 0.0 if self.is_cured else self.fault.part(window)

    def _lead(self) -> float:
        return float(self.random.uniform(0.0, WINDOW_SECONDS))

    def _event(self, at: float, kind: str, message: str) -> Event:
        self.sent += 1
        return Event(
            event_id=f"{self.name}-{self.sent}",
            at=at,
            kind=kind,
            subject=f"model:{self.name}",
            message=message,
            labels={"pipeline": self.name},
        )

    def references(self, at: float) -> list[Signal]:
        """Return what a training says of the records it saw."""
        found: list[Signal] = []
        for column, mean, deviation, _, _ in self.columns:
            centre = mean + self.reference_shift * deviation
            for name, value in (
                ("reference_median", centre),
                ("reference_mad", deviation),
                ("reference_mean", centre),
                ("reference_sd", deviation),
            ):
                found.append(self._feature(column, name, value, at, 5_000.0))
        return found

    def window(self, window: int, at: float) -> list[Signal]:
        """Return the signals of one window of serving, and of an etl run where one ends."""
        fault, random = self.fault, self.random
        part = self.part(window)
        self.windows_broken += part > 0
        season = 1.0 + 0.4 * math.sin(2 * math.pi * (window % DAY_WINDOWS) / DAY_WINDOWS)
        load = self.requests * season * float(random.gamma(100.0, 0.01))
        is_loaded = fault.name == "demand" and part > 0
        load *= fault.factor if is_loaded else 1.0
        requests = int(random.poisson(load))
        self.wander = 0.8 * self.wander + 0.06 * float(random.normal())
        slow = 1.0 + (fault.factor - 1.0) * (0.6 if is_loaded else part)
        share = 0.003 + fault.share * part
        failed = int(random.binomial(requests, share)) if requests else 0
        labels = int(random.poisson(self.labels))
        good = self.quality - fault.loss * part + 0.01 * float(random.normal())
        found = [
            self._served("requests", float(requests), at, Shape.COUNT),
            self._served("latency_ms_p99", self.latency_ms * slow * math.exp(self.wander), at),
        ]
        if requests:
            error = self._served("errors_share", failed / requests, at, Shape.SHARE, requests)
            found.append(error)
        if labels:
            right = int(random.binomial(labels, min(0.99, max(0.01, good))))
            found.append(self._served("quality", right / labels, at, Shape.SHARE, labels))
        found += self._features(part, at, max(requests, 1))
        if window % ETL_EVERY == 0:
            rows = 40_000.0 * float(random.normal(1.0, 0.03))
            rows *= 0.3 if fault.name == "source" and part > 0 else 1.0
            found.append(self._etl(rows, at))
        return found

    def _features(self, part: float, at: float, requests: int) -> Iterator[Signal]:
        rows = min(200, requests)
        for index, (column, mean, deviation, _, factor) in enumerate(self.columns):
            shift = self.shifted
            if self.fault.name == "population" and part > 0:
                # Larger losses come with larger shifts of the population.
                shift += (6.0 if index == 0 else 4.0) * self.fault.loss
            value = mean + deviation * (shift + float(self.random.normal()) / math.sqrt(rows))
            if self.fault.name == "unit" and part > 0 and index == 0:
                value /= factor
            yield self._feature(column, "feature_mean", value, at, rows)

    def _served(
        self, name: str, value: float, at: float, shape: Shape = Shape.GAUGE, weight: float = 1.0
    ) -> Signal:
        return Signal(
            name=name,
            layer=Layer.SERVING,
            subject=f"model:{self.name}",
            at=at,
            value=value,
            shape=shape,
            weight=float(weight),
            labels={"pipeline": self.name, "cluster": self.cluster},
        )

    def _feature(self, column: str, name: str, value: float, at: float, rows: float) -> Signal:
        return Signal(
            name=name,
            layer=Layer.SERVING,
            subject=f"feature:{self.name}/{column}",
            at=at,
            value=value,
            weight=float(rows),
            labels={"pipeline": self.name, "feature": column, "cluster": self.cluster},
        )

    def _etl(self, rows: float, at: float) -> Signal:
        return Signal(
            name="rows",
            layer=Layer.ETL,
            subject=f"task:{self.name}/etl",
            at=at,
            value=float(round(rows)),
            shape=Shape.COUNT,
            labels={"pipeline": self.name, "task": "etl"},
        )


def drawn(name: str, cluster: str, fault: Fault, random: np.random.Generator) -> Pipeline:
    """Return a pipeline whose size and noise are drawn."""
    order = [COLUMNS[i] for i in random.permutation(len(COLUMNS))[:2]]
    return Pipeline(
        name=name,
        cluster=cluster,
        fault=fault,
        random=random,
        gpu_hours=float(random.uniform(1.0, 12.0)),
        columns=tuple(order),
        requests=float(random.uniform(200.0, 3_000.0)),
        labels=float(random.uniform(40.0, 150.0)),
        latency_ms=float(random.uniform(20.0, 200.0)),
        quality=float(random.uniform(0.8, 0.93)),
    )
