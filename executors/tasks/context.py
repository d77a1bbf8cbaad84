"""A task as it sees itself: folders, parameters, signals, and the errors that end it.

Standard library only: it is imported before anything else in every task.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, cast

Scalar = str | int | float | bool


class TaskError(Exception):
    """Ends a task; the message becomes the reason that people read."""

    exit_code = 1


class BadInputError(TaskError):
    """The input is not what it should be."""

    exit_code = 65


class GateError(TaskError):
    """A gate refused the model."""

    exit_code = 66


@dataclass(slots=True)
class Ticker:
    """Times that never repeat, since a series holds one value per time."""

    now: Callable[[], float] = time.time
    last: float = 0.0

    def next(self) -> float:
        """Return the time, or the next instant after the last one."""
        self.last = max(self.now(), self.last + 1e-6)
        return self.last


@dataclass(frozen=True, slots=True)
class Origin:
    """What a signal is measured of: layer, `KIND:NAME`, and labels beyond the executor's."""

    layer: str
    subject: str
    labels: Mapping[str, str] = field(default_factory=dict)

    def line(
        self, name: str, value: float, *, at: float, unit: str, shape: str, weight: float
    ) -> str:
        """Return a value that was measured of it, as one line of JSON for the engine."""
        document = {
            "name": name,
            "layer": self.layer,
            "subject": self.subject,
            "at": at,
            "value": value,
            "unit": unit,
            "shape": shape,
            "weight": weight,
            "labels": dict(self.labels),
        }
        return json.dumps(document, sort_keys=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One attempt of a task.

    spec: the task's fields as in `TaskSpec`; settings: its parameters with the run's overrides.
    upstream: outputs of every task before this one; environment: all variables of the process.
    """

    spec: Mapping[str, Any]
    pipeline: str
    seed: int
    settings: Mapping[str, Scalar]
    upstream: Mapping[str, Mapping[str, Scalar]]
    environment: Mapping[str, str]
    _ticker: Ticker = field(default_factory=Ticker)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Task:
        """Read what the executor prepared.

        Raises:
            BadInputError: when a variable is missing or the parameters are damaged.
        """
        try:
            path = Path(environment["BERTH_PARAMETERS"])
            document = json.loads(path.read_text(encoding="utf-8"))
            spec = document["task"]
            return cls(
                spec=spec,
                pipeline=document["pipeline"],
                seed=int(document.get("seed", 0)),
                settings={**spec.get("parameters", {}), **document.get("overrides", {})},
                upstream=document.get("upstream", {}),
                environment=environment,
            )
        except (KeyError, OSError, ValueError, TypeError, AttributeError) as error:
            raise BadInputError(f"the task's parameters are missing or damaged: {error}") from error

    @property
    def name(self) -> str:
        """Name of the task."""
        return str(self.spec["name"])

    @property
    def run_id(self) -> str:
        """The run this attempt belongs to; "" outside one."""
        return self.environment.get("BERTH_RUN", "")

    @property
    def outputs(self) -> Path:
        """The folder to write."""
        return Path(self.environment["BERTH_OUTPUTS"])

    @property
    def inputs(self) -> Path:
        """The folder with the outputs of upstream tasks."""
        return Path(self.environment["BERTH_INPUTS"])

    @property
    def reads(self) -> Path:
        """The data to read; relative paths start at the pipeline's folder."""
        given = self.spec.get("reads")
        if not given:
            raise BadInputError(f"task {self.name!r} says no file to read; add `reads: FILE`")
        return Path(self.environment["BERTH_FOLDER"]) / str(given)

    def upstream_folders(self, marker: str) -> Iterator[tuple[str, Path]]:
        """Yield name and folder of each upstream task whose outputs hold the file `marker`."""
        if self.inputs.is_dir():
            for folder in sorted(self.inputs.iterdir()):
                if (folder / marker).exists():
                    yield folder.name, folder

    def upstream_folder(self, marker: str) -> Path:
        """Return the folder of the one upstream task that wrote `marker`.

        Raises:
            BadInputError: when there is none, or more than one.
        """
        found = list(self.upstream_folders(marker))
        if len(found) != 1:
            names = ", ".join(name for name, _ in found) or "none"
            raise BadInputError(f"needs one upstream task that wrote {marker}; found: {names}")
        return found[0][1]

    def number(self, name: str, default: float) -> float:
        """Return a setting as a number.

        Raises:
            BadInputError: when it is none.
        """
        value = self.settings.get(name, default)
        try:
            return float(value)
        except ValueError as error:
            raise BadInputError(f"parameter {name!r} is {value!r}, not a number") from error

    def write_outputs(self, values: Mapping[str, Scalar]) -> None:
        """Write the small values that conditions and later tasks read."""
        write_json(self.outputs / "outputs.json", values)

    def pass_on(self, folder: Path, *names: str) -> None:
        """Copy files of an upstream task to this one's outputs, for tasks further down."""
        for name in names:
            shutil.copyfile(folder / name, self.outputs / name)

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
        """Append a measured value; one that is not finite is left out, as nothing was measured."""
        if not math.isfinite(value):
            return
        at = self._ticker.next()
        line = origin.line(name, value, at=at, unit=unit, shape=shape, weight=weight)
        append_line(Path(self.environment["BERTH_SIGNALS"]), line)


def append_line(path: Path, line: str) -> None:
    """Append one line in one write, so that a reader never sees half of it."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, f"{line}\n".encode())
    finally:
        os.close(descriptor)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a document, the same bytes for the same value."""
    text = json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """Read a document of an upstream task.

    Raises:
        BadInputError: when it is missing or damaged.
    """
    try:
        return cast("dict[str, Any]", json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        refuse(f"{path.name} of an upstream task is missing or damaged: {error}", cause=error)


def refuse(message: str, *, cause: BaseException | None = None) -> NoReturn:
    """End the task because of its input.

    Raises:
        BadInputError: always.
    """
    raise BadInputError(message) from cause
