"""What a training says of its steps."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import berth
from executors.tasks.reporting import EVERY_SECONDS, FIRST_STEPS, SILENT, TrainingReport


class Told:
    """A training with a clock of its own."""

    def __init__(self, tmp_path: Path) -> None:
        self.path = tmp_path / "signals.jsonl"
        self.seconds = 100.0
        environment = {
            "BERTH_SIGNALS": str(self.path),
            "BERTH_PIPELINE": "heart",
            "BERTH_TASK": "train",
            "BERTH_ATTEMPT": "attempts/r-1.train.2",
        }
        clock = lambda: self.seconds  # noqa: E731
        self.report = TrainingReport(environment, now=clock, elapsed=clock)

    def values(self, name: str) -> list[float]:
        return [each["value"] for each in self.lines() if each["name"] == name]

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.path.read_text().splitlines()]


def test_each_of_the_first_steps_is_told(tmp_path: Path) -> None:
    told = Told(tmp_path)
    told.report.step(loss=0.7, gradient_norm=3.0)
    told.report.step(loss=0.6)
    assert told.values("training_loss") == [0.7, 0.6]
    assert told.values("gradient_norm") == [3.0]
    line = told.lines()[-1]
    assert (line["subject"], line["layer"]) == ("model:heart/train", "training")
    assert line["labels"] == {"run": "r-1.train.2"}
    times = [each["at"] for each in told.lines()]
    assert len(set(times)) == len(times)


def test_of_many_steps_the_mean_loss_and_the_largest_norm_are_told(tmp_path: Path) -> None:
    told = Told(tmp_path)
    for _ in range(FIRST_STEPS):
        told.report.step(loss=1.0, gradient_norm=1.0)
    told.report.step(loss=2.0, gradient_norm=9.0)
    told.report.step(loss=4.0, gradient_norm=1.0)
    told.seconds += EVERY_SECONDS
    told.report.step(loss=6.0, gradient_norm=1.0)
    assert told.values("training_loss")[FIRST_STEPS:] == [4.0]
    assert told.values("gradient_norm")[FIRST_STEPS:] == [9.0]


def test_samples_are_told_by_the_second(tmp_path: Path) -> None:
    told = Told(tmp_path)
    told.report.step(samples=50)
    assert told.values("samples_per_second") == []
    told.seconds += 2.0
    told.report.step(samples=50)
    assert told.values("samples_per_second") == [50.0]


def test_a_loss_that_is_no_number_is_a_training_that_diverged(tmp_path: Path) -> None:
    told = Told(tmp_path)
    told.report.step(loss=1.0)
    told.report.step(loss=math.nan, gradient_norm=math.inf)
    assert told.values("diverged") == [0.0, 1.0]
    assert told.values("training_loss") == [1.0]
    assert told.values("gradient_norm") == []


def test_outside_a_task_nothing_is_told(tmp_path: Path) -> None:
    SILENT.step(loss=1.0)
    assert list(tmp_path.iterdir()) == []


def test_it_is_public() -> None:
    assert berth.TrainingReport is TrainingReport
