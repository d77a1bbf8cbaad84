"""The built-in tasks run by hand in a folder, on the real heart-disease records."""

from __future__ import annotations

import importlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from executors.tasks.context import Task

CSV = Path(__file__).parents[2] / "examples" / "data" / "heart-disease.csv"
UNITS = {"age": "years", "trestbps": "mmHg", "chol": "mg/dL", "thalach": "bpm", "oldpeak": "mm"}
ETL = {"reads": str(CSV), "target": "target", "schema": UNITS}
MODULES = {
    "etl": "executors.training.etl",
    "features": "executors.training.features",
    "train": "executors.training.train",
    "evaluate": "executors.training.evaluate",
    "package": "executors.packaging.package",
    "serve": "executors.serving.serve",
}


class HeartTasks:
    """Folders of tasks below one folder, which is also where the registry is."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def outputs(self, name: str) -> Path:
        """Return the outputs folder of a task."""
        return self.home / name / "outputs"

    def values(self, name: str) -> dict[str, Any]:
        """Return the small values of a task."""
        return cast("dict[str, Any]", json.loads((self.outputs(name) / "outputs.json").read_text()))

    def signals(self, name: str) -> list[dict[str, Any]]:
        """Return the signals of a task."""
        path = self.home / name / "signals.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()]

    def prepare(self, name: str, *after: str, **spec: object) -> dict[str, str]:
        """Lay a task's folder out as an executor does; return its environment."""
        folder = self.home / name
        (folder / "outputs").mkdir(parents=True)
        for upstream in after:
            shutil.copytree(self.outputs(upstream), folder / "inputs" / upstream)
        overrides = spec.pop("overrides", {})
        known = [path.parent.name for path in self.home.glob("*/outputs") if path.is_dir()]
        document = {
            "task": {"name": name, "after": after, **spec},
            "pipeline": "heart",
            "seed": 7,
            "overrides": overrides,
            "upstream": {other: self.values(other) for other in known if other in after},
        }
        (folder / "parameters.json").write_text(json.dumps(document))
        return {
            "BERTH_PARAMETERS": str(folder / "parameters.json"),
            "BERTH_INPUTS": str(folder / "inputs"),
            "BERTH_OUTPUTS": str(folder / "outputs"),
            "BERTH_SIGNALS": str(folder / "signals.jsonl"),
            "BERTH_ENDPOINT": str(folder / "endpoint.json"),
            "BERTH_FOLDER": str(self.home),
            "BERTH_MODELS": str(self.home / "models"),
            "BERTH_RUN": "r-1",
        }

    def run(self, name: str, kind: str, *after: str, **spec: object) -> dict[str, Any]:
        """Run a task in this process; return its small values."""
        task = Task.from_environment(self.prepare(name, *after, **spec))
        run = cast("Callable[[Task], None]", importlib.import_module(MODULES[kind]).run)
        run(task)
        return self.values(name)

    def upto_features(self) -> HeartTasks:
        """Run etl and features."""
        self.run("etl", "etl", **ETL)
        self.run("features", "features", "etl")
        return self

    def upto_package(self, family: str, trials: int = 1) -> str:
        """Train and package one family; return the digest of the image."""
        self.run(family, "train", "features", model=[family], trials=trials)
        return str(self.run(f"package-{family}", "package", family)["digest"])
