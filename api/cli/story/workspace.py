"""The files of the story: a data folder, the example documents, upstream data, held-out records."""

from __future__ import annotations

import csv
import random
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.model.errors import NotFoundError

MMOL_PER_MG_DL = 38.67
"""Milligrams per decilitre of cholesterol that are one millimole per litre (its molar mass)."""

DOCUMENTS = (
    "heart.yaml",
    "fleet.yaml",
    "gpu-fleet.yaml",
    "rules.yaml",
    "data/gpu-demand-hourly.csv.gz",
    "data/run-history.csv",
)

Record = Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """Where the story's files are.

    home: the engine's data folder; spec, fleet, rules: copies of the example documents.
    history: runs of these tasks measured before; demand, gpu_fleet: GPU demand by hour, and the
    fleet that it is held against.
    upstream: the CSV file that the etl task reads; held_out: records it never sees, with labels.
    """

    home: Path
    spec: Path
    fleet: Path
    rules: Path
    history: Path
    demand: Path
    gpu_fleet: Path
    upstream: Path
    held_out: tuple[Record, ...]
    labels: tuple[int, ...]


def prepare(home: Path, examples: Path, *, seed: int, held_out_count: int = 100) -> Workspace:
    """Lay out a fresh workspace below `home` and return it.

    The records are shuffled by `seed`; the last `held_out_count` are kept from the upstream file.

    Raises:
        NotFoundError: when the example files are not where they should be.
    """
    source = examples / "data" / "heart-disease.csv"
    if not source.is_file():
        raise NotFoundError(
            f"the example data {str(source)!r} is not there",
            fix="run the demo in a clone of the repository, or name its folder with `--examples`",
        )
    folder = home / "examples"
    (folder / "data").mkdir(parents=True, exist_ok=True)
    for name in DOCUMENTS:
        shutil.copyfile(examples / name, folder / name)
    rows = read_rows(source)
    random.Random(seed).shuffle(rows)  # noqa: S311  a reproducible split, nothing secret
    upstream = folder / "data" / source.name
    write_rows(upstream, rows[:-held_out_count])
    held_out = rows[-held_out_count:]
    return Workspace(
        home=home,
        spec=folder / "heart.yaml",
        fleet=folder / "fleet.yaml",
        rules=folder / "rules.yaml",
        demand=folder / "data" / "gpu-demand-hourly.csv.gz",
        history=folder / "data" / "run-history.csv",
        gpu_fleet=folder / "gpu-fleet.yaml",
        upstream=upstream,
        held_out=tuple({k: float(v) for k, v in row.items() if k != "target"} for row in held_out),
        labels=tuple(int(row["target"]) for row in held_out),
    )


def change_unit(upstream: Path) -> None:
    """Rewrite the upstream file with cholesterol in mmol/L, as a careless release would."""
    rows = read_rows(upstream)
    for row in rows:
        row["chol"] = f"{float(row['chol']) / MMOL_PER_MG_DL:.2f}"
    write_rows(upstream, rows)


def in_millimoles(record: Record) -> Record:
    """Return a record whose cholesterol is in mmol/L."""
    return {**record, "chol": round(record["chol"] / MMOL_PER_MG_DL, 2)}


def read_rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file with a header; a byte order mark is left out."""
    with path.open(newline="", encoding="utf-8-sig") as lines:
        return list(csv.DictReader(lines))


def write_rows(path: Path, rows: Sequence[Mapping[str, str]]) -> None:
    """Replace a CSV file at once, so that no reader ever sees half of it."""
    draft = path.with_suffix(".draft")
    with draft.open("w", newline="", encoding="utf-8") as lines:
        writer = csv.DictWriter(lines, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    draft.replace(path)
