"""Several searches side by side: curves of the validation loss, time, best loss and accuracy."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from executors.training.trials.standing import Record, Records

_BLOCKS = "▁▂▃▄▅▆▇█"
_POINTS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One search in figures. `accuracy` is that of the epoch with the lowest loss, if reported."""

    name: str
    trials: int
    epochs: int
    cpu_seconds: float
    wall_seconds: float
    loss: float
    accuracy: float
    best: int


def row(name: str, records: Records) -> Row:
    """Return the figures of a search; not-a-number for what no trial said."""
    best = records.best()
    values = _at_best(best)
    return Row(
        name=name,
        trials=len(records.trials),
        epochs=records.epochs_run,
        cpu_seconds=records.cpu_seconds,
        wall_seconds=records.wall_seconds,
        loss=values.get("loss", math.nan),
        accuracy=values.get("accuracy", math.nan),
        best=-1 if best is None else best.number,
    )


def _at_best(record: Record | None) -> Mapping[str, float]:
    if record is None:
        return {}
    return min(record.values.values(), key=lambda values: values["loss"])


def curve(records: Records, until_seconds: float) -> list[float]:
    """Return the lowest loss known at `_POINTS` equal steps of time; infinite before the first."""
    said = sorted(
        (at, record.values[epoch]["loss"])
        for record in records.trials.values()
        if not record.out
        for epoch, at in record.wall_at.items()
    )
    found: list[float] = []
    lowest, place = math.inf, 0
    for step in range(1, _POINTS + 1):
        while place < len(said) and said[place][0] <= until_seconds * step / _POINTS:
            lowest = min(lowest, said[place][1])
            place += 1
        found.append(lowest)
    return found


def drawn(values: Sequence[float]) -> str:
    """Return values as a line of blocks: full for the highest, a dot where there is none yet.

    >>> drawn([math.inf, 3.0, 1.0])
    '·█▁'
    """
    there = [value for value in values if math.isfinite(value)]
    if not there:
        return "·" * len(values)
    low, span = min(there), (max(there) - min(there)) or 1.0
    last = len(_BLOCKS) - 1
    return "".join(
        _BLOCKS[round((v - low) / span * last)] if math.isfinite(v) else "·" for v in values
    )


def comparison(searches: Mapping[str, Records]) -> str:
    """Return a table of searches, and their curves over the same time."""
    rows = [row(name, records) for name, records in searches.items()]
    width = max(len("SEARCH"), *(len(found.name) for found in rows))
    lines = [
        f"{'SEARCH'.ljust(width)}  TRIALS  EPOCHS   CPU S  WALL S  BEST LOSS  ACCURACY  BY TRIAL"
    ]
    lines += [
        f"{r.name.ljust(width)}  {r.trials:6}  {r.epochs:6}  {r.cpu_seconds:6.1f}  "
        f"{r.wall_seconds:6.1f}  {r.loss:9.4f}  {r.accuracy:8.4f}  {r.best:8}"
        for r in rows
    ]
    longest = max(found.wall_seconds for found in rows)
    lines.append(f"lowest validation loss over {longest:.1f} s")
    for name, records in searches.items():
        lines.append(f"{name.ljust(width)}  {drawn(curve(records, longest))}")
    return "\n".join(lines)


def learning_curves(records: Records, most: int = 5) -> str:
    """Return the validation loss by epoch of the best trials."""
    ranked = sorted(
        (r for r in records.trials.values() if r.values and not r.out), key=lambda r: r.loss or 0.0
    )[:most]
    lines = ["TRIAL  LOSS BY EPOCH"]
    for record in ranked:
        losses = [record.values[epoch]["loss"] for epoch in sorted(record.values)]
        said = " ".join(f"{loss:.3f}" for loss in losses)
        lines.append(f"{record.number:5}  {said}  {drawn(losses)}")
    return "\n".join(lines)
