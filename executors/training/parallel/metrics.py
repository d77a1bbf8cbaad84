"""What a training says of its steps: `metrics.jsonl`, one line a step, each step once."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Generator
from pathlib import Path

NAME = "metrics.jsonl"
Write = Callable[[dict[str, float]], object]


@contextlib.contextmanager
def writer(folder: Path, step: int, *, first: bool) -> Generator[Write]:
    """Yield what writes a line; lines past step `step`, of steps taken again, are dropped.

    Only the first worker writes.
    """
    if not first:
        yield lambda _: None
        return
    path = folder / NAME
    kept = [line for line in read(path) if line["step"] <= step]
    path.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")
    with path.open("a", encoding="utf-8", buffering=1) as file:
        yield lambda line: file.write(json.dumps(line) + "\n")


def read(path: Path) -> list[dict[str, float]]:
    """Return what was written of each step, without a line that a kill cut off."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    return [json.loads(line) for line in lines]
