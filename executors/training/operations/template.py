"""Names of the templates, and what a training of one returns.

A trained template is one file of weights with what a server and a package have to know of it, and
its quality beside that of a simple method on the same held-out data, so that nobody is misled.
"""

from __future__ import annotations

import enum
import importlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from executors.tasks.context import BadInputError, Scalar
from executors.tasks.reporting import SILENT, TrainingReport


class Template(enum.StrEnum):
    """The models of operations, by the family that a pipeline names."""

    FORECAST = "arima"
    ANOMALY = "transformer"
    LOCATOR = "graph"


MODULES: Mapping[Template, str] = {
    Template.FORECAST: "executors.training.operations.forecast",
    Template.ANOMALY: "executors.training.operations.anomaly",
    Template.LOCATOR: "executors.training.operations.locate",
}
TEMPLATES = frozenset(template.value for template in Template)


class WeightsFormat(enum.StrEnum):
    """How weights are stored; a network of torch may be either of the first two."""

    ONNX = "onnx"
    TORCH = "torch"
    ARIMA = "series"


FILES: Mapping[WeightsFormat, str] = {
    WeightsFormat.ONNX: "model.onnx",
    WeightsFormat.TORCH: "model.pt2",
    WeightsFormat.ARIMA: "model.arima.json",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A trained template.

    weights: bytes of its file. features: columns of a request row, in order.
    classes: what the labels mean, empty for a model that answers values.
    example: `rows`, and `labels` or `outputs`, as golden requests have them.
    quality, baseline: of the model and of `baseline_name` on the same held-out data; larger is
    better, `quality_name` says what it is. figures: what else was measured. losses: by step.
    """

    template: Template
    format: WeightsFormat
    weights: bytes
    features: tuple[str, ...]
    classes: tuple[str, ...] = ()
    example: Mapping[str, Any]
    quality_name: str
    quality: float
    quality_std: float
    baseline_name: str
    baseline: float
    figures: Mapping[str, float] = field(default_factory=dict)
    losses: Sequence[float] = ()
    data: Sequence[Path] = ()

    @property
    def file(self) -> str:
        """Name of the file of weights."""
        return FILES[self.format]

    def outputs(self) -> dict[str, Scalar]:
        """Return the small values that gates, conditions and people read.

        They have no loss where none falls step by step; a fit by likelihood has one value.
        """
        found: dict[str, Scalar] = {
            "model": self.template.value,
            "quality": self.quality,
            "quality_std": self.quality_std,
            "quality_is": self.quality_name,
            "baseline": self.baseline,
            "baseline_is": self.baseline_name,
            **{name: value for name, value in self.figures.items() if math.isfinite(value)},
        }
        if len(self.losses) > 1:
            found |= {"loss_first": self.losses[0], "loss_last": self.losses[-1]}
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be trained: the template's data, its settings by name, the seed of all draws.

    report: told every step of a network's training.
    """

    source: Path
    settings: Mapping[str, Scalar]
    seed: int
    report: TrainingReport = SILENT

    def whole(self, name: str, default: int, *, least: int = 1, most: int = 1_000_000) -> int:
        """Return a setting that is a whole number.

        Raises:
            BadInputError: when it is none, or out of bounds.
        """
        value = self.settings.get(name, default)
        try:
            number = int(value)
        except (ValueError, OverflowError) as error:
            raise BadInputError(f"setting {name!r} is {value!r}, not a whole number") from error
        if number != float(value) or not least <= number <= most:
            raise BadInputError(f"setting {name!r} is {value!r}, expected {least} to {most}")
        return number

    def share(self, name: str, default: float) -> float:
        """Return a setting above 0 and below 1.

        Raises:
            BadInputError: when it is not.
        """
        value = self.settings.get(name, default)
        try:
            number = float(value)
        except ValueError as error:
            raise BadInputError(f"setting {name!r} is {value!r}, not a number") from error
        if not 0.0 < number < 1.0:
            raise BadInputError(f"setting {name!r} is {value!r}, expected a share of 0 to 1")
        return number

    def weights_format(self) -> WeightsFormat:
        """Return how a network is to be stored: the setting `format`, ONNX by default.

        Raises:
            BadInputError: when it names no format of networks.
        """
        value = self.settings.get("format", WeightsFormat.ONNX.value)
        if value not in {WeightsFormat.ONNX.value, WeightsFormat.TORCH.value}:
            raise BadInputError(f"setting 'format' is {value!r}, expected 'onnx' or 'torch'")
        return WeightsFormat(str(value))


def template_of(families: Sequence[str]) -> Template | None:
    """Return the template that a train task names; None for families that race.

    Raises:
        BadInputError: when one is named beside something else: they do not answer the same.
    """
    named = [family for family in families if family in TEMPLATES]
    if not named:
        return None
    if len(families) > 1:
        others = ", ".join(families)
        message = f"{named[0]!r} is trained on its own data and cannot race with others: {others}"
        raise BadInputError(f"{message}; give each a train task of its own")
    return Template(named[0])


def train(template: Template, order: Order) -> Trained:
    """Train a template.

    Raises:
        BadInputError: when the data or a setting are not what it needs, or torch is missing.
    """
    try:
        module: Any = importlib.import_module(MODULES[template])
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        message = f"{template.value!r} needs torch, which is not installed"
        raise BadInputError(f"{message}: pip install 'berth[torch]'") from error
    return cast("Trained", module.train(order))
