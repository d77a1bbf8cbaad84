"""The built-in `features` task: rows in, a seeded split and reference statistics out.

Writes `train.npy` and `holdout.npy` (last column: the target), `holdout.csv` for replays, and
`reference.json`, against which drift is measured. Imputing and scaling are learned inside the
model's own pipeline, on training folds only: learned here, they would leak into the estimate.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from executors.tasks.context import BadInputError, Origin, Task, read_json, write_json

_HOLDOUT_SHARE = 0.2
_ROWS_MIN = 20
_CLASSES_MAX = 50
_MAD_TO_SD = 1.4826
"""Of a normal distribution; makes the median deviation comparable with a standard deviation."""


def run(task: Task) -> None:
    """Split, describe, write."""
    folder = task.upstream_folder("data.csv")
    schema = read_json(folder / "schema.json")
    names = [str(column["name"]) for column in schema["columns"]]
    rows = load(folder / "data.csv", columns=len(names))
    target = names.index(str(schema["target"]))
    rows = np.column_stack([np.delete(rows, target, axis=1), rows[:, target]])
    features = [column for column in schema["columns"] if column["name"] != schema["target"]]
    labels = check_target(rows[:, -1], str(schema["target"]))
    share = task.number("holdout", _HOLDOUT_SHARE)
    held_out = split(labels, share=share, seed=task.seed)
    np.save(task.outputs / "train.npy", rows[~held_out])
    np.save(task.outputs / "holdout.npy", rows[held_out])
    header = ",".join([*(str(column["name"]) for column in features), str(schema["target"])])
    np.savetxt(
        task.outputs / "holdout.csv", rows[held_out], delimiter=",", header=header, comments=""
    )
    reference = {
        str(column["name"]): describe(rows[~held_out, index])
        for index, column in enumerate(features)
    }
    write_json(task.outputs / "reference.json", reference)
    write_json(task.outputs / "schema.json", {**schema, "columns": features})
    _signal(task, reference, rows=int((~held_out).sum()))
    task.write_outputs({"columns": len(features), "rows": len(rows)})


def load(path: Path, *, columns: int) -> NDArray[np.float64]:
    """Read the rows that etl wrote.

    Raises:
        BadInputError: when it does not hold that many columns of numbers, or too few rows.
    """
    try:
        rows = np.loadtxt(path, delimiter=",", skiprows=1, ndmin=2, dtype=np.float64)
    except ValueError as error:
        raise BadInputError(f"{path.name}: {error}") from error
    if rows.shape[1] != columns:
        raise BadInputError(f"{path.name}: has {rows.shape[1]} columns, expected {columns}")
    if len(rows) < _ROWS_MIN:
        raise BadInputError(f"{path.name}: has {len(rows)} rows, expected at least {_ROWS_MIN}")
    return rows


def check_target(values: NDArray[np.float64], name: str) -> NDArray[np.int64]:
    """Return the classes of the target as whole numbers.

    Raises:
        BadInputError: when a class is missing or fractional, or there is one class only.
    """
    if np.isnan(values).any():
        raise BadInputError(f"target {name!r} has {int(np.isnan(values).sum())} missing values")
    if not np.equal(values, np.round(values)).all():
        raise BadInputError(f"target {name!r} has fractions; expected a class by whole number")
    labels = values.astype(np.int64)
    count = len(np.unique(labels))
    if not 2 <= count <= _CLASSES_MAX:  # noqa: PLR2004 - one class is no choice
        raise BadInputError(f"target {name!r} has {count} classes, expected 2 to {_CLASSES_MAX}")
    return labels


def split(labels: NDArray[np.int64], *, share: float, seed: int) -> NDArray[np.bool_]:
    """Return which rows are held out: the same share of every class, drawn by seed."""
    generator = np.random.default_rng(seed)
    held_out = np.zeros(len(labels), dtype=np.bool_)
    for label in np.unique(labels):
        members = generator.permutation(np.flatnonzero(labels == label))
        held_out[members[: round(share * len(members))]] = True
    return held_out


def describe(values: NDArray[np.float64]) -> dict[str, float]:
    """Return what is normal for a feature; `mad` is scaled to be a standard deviation."""
    there = values[~np.isnan(values)]
    if not len(there):
        return {"median": 0.0, "mad": 0.0, "mean": 0.0, "sd": 0.0, "missing": 1.0}
    median = float(np.median(there))
    return {
        "median": median,
        "mad": _MAD_TO_SD * float(np.median(np.abs(there - median))),
        "mean": float(there.mean()),
        "sd": float(there.std()),
        "missing": 1 - len(there) / len(values),
    }


def _signal(task: Task, reference: dict[str, dict[str, float]], *, rows: int) -> None:
    """Say what is normal, for those who watch for drift."""
    for name, figures in reference.items():
        origin = Origin("features", f"feature:{task.pipeline}/{name}", {"feature": name})
        for figure in ("median", "mad", "mean", "sd"):
            task.signal(origin, f"reference_{figure}", figures[figure], weight=rows)


def load_split(folder: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return training and held-out rows, last column the target.

    Raises:
        BadInputError: when a file is missing or damaged.
    """
    try:
        return (
            np.load(folder / "train.npy", allow_pickle=False),
            np.load(folder / "holdout.npy", allow_pickle=False),
        )
    except (OSError, ValueError, EOFError) as error:
        raise BadInputError(f"the split of the features task is damaged: {error}") from error
