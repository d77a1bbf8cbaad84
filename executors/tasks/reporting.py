"""What a training says of its steps while it runs: loss, gradient norm, samples a second.

Standard library only. In a task of Berth each report is a signal, which the engine watches;
everywhere else nothing is told. Of a fast loop not every step is told: the first ones are, and
then what came since the last report about once a second, the mean loss and the largest norm.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from executors.tasks.context import Origin, Ticker, append_line

FIRST_STEPS = 64
EVERY_SECONDS = 1.0


@dataclass(slots=True)
class _Since:
    """What came since the last report."""

    losses: list[float] = field(default_factory=list)
    norms: list[float] = field(default_factory=list)


class TrainingReport:
    """Tells the steps of one training; call `step` after each.

    environment: variables of the process (`BERTH_SIGNALS` and those beside it); that of this
    process by default. now, elapsed: seconds since 1970, and of a clock that nobody can set.
    """

    def __init__(
        self,
        environment: Mapping[str, str] | None = None,
        *,
        now: Callable[[], float] = time.time,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        given = os.environ if environment is None else environment
        path = given.get("BERTH_SIGNALS", "")
        self._path = Path(path) if path else None
        pipeline, task = given.get("BERTH_PIPELINE", ""), given.get("BERTH_TASK", "")
        run = Path(given.get("BERTH_ATTEMPT", "")).name
        self._origin = Origin("training", f"model:{pipeline}/{task}", {"run": run})
        self._elapsed = elapsed
        self._ticker = Ticker(now)
        self._since = _Since()
        self._steps = 0
        self._samples = 0
        self._told_at = self._counted_at = elapsed()

    def step(
        self, *, loss: float | None = None, gradient_norm: float | None = None, samples: int = 0
    ) -> None:
        """Tell a step: its mean loss, the norm of the whole gradient, the samples it took.

        A loss that is no finite number is told as what it is, a training that diverged; a norm
        that is none is left out, as scaled half precision has such steps now and then.
        """
        if self._path is None:
            return
        if self._steps == 0:
            self._tell("diverged", 0.0)
        self._steps += 1
        self._samples += samples
        if loss is not None and not math.isfinite(loss):
            self._tell("diverged", 1.0)
        elif loss is not None:
            self._since.losses.append(loss)
        if gradient_norm is not None and math.isfinite(gradient_norm):
            self._since.norms.append(gradient_norm)
        elapsed = self._elapsed()
        if self._steps <= FIRST_STEPS or elapsed - self._told_at >= EVERY_SECONDS:
            self._tell_steps()
            self._told_at = elapsed
        if self._samples and elapsed - self._counted_at >= EVERY_SECONDS:
            rate = self._samples / (elapsed - self._counted_at)
            self._tell("samples_per_second", rate, unit="samples/s")
            self._samples, self._counted_at = 0, elapsed

    def _tell_steps(self) -> None:
        since, self._since = self._since, _Since()
        if since.losses:
            self._tell("training_loss", math.fsum(since.losses) / len(since.losses))
        if since.norms:
            self._tell("gradient_norm", max(since.norms))

    def _tell(self, name: str, value: float, unit: str = "") -> None:
        assert self._path is not None  # noqa: S101 - `step` asked
        at = self._ticker.next()
        line = self._origin.line(name, value, at=at, unit=unit, shape="gauge", weight=1.0)
        append_line(self._path, line)


SILENT = TrainingReport({})
"""Tells nothing: for trainings outside a task."""
