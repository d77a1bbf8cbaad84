from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

FLEET = """
clusters:
  near:
    provider: on-premises
    region: here
    continent: eu
    pools:
      small: {machine: m4, count: 2, cpu: 4, memory: 16 GiB, price: 0.10 USD per hour}
  far:
    provider: aws
    region: us-east-1
    continent: us
    pools:
      large: {machine: m16, count: 2, cpu: 16, memory: 64 GiB, price: 0.90 USD per hour}
"""

PIPELINE = """\
pipeline: churn
owner: team-growth
seed: 3
sla: {deadline: in 2 h, keep: 0.9}
limits: {budget: 5 USD per run}
tasks:
  etl:   {kind: etl, volume: 12 KiB}
  train: {kind: train, after: etl, model: knn, trials: 2}
"""

LEAVE = "import os; open(os.environ['BERTH_OUTPUTS'] + '/outputs.json', 'w').write('{}')"
"""What a command must leave behind."""
AS_OF = 1_800_000_000.0


def waiting(file: Path) -> str:
    """Return a program that ends well once a file is there, or after a while without a test."""
    return (
        f"import pathlib, time; file = pathlib.Path({str(file)!r})\n"
        "for _ in range(12_000):\n"
        "    if file.exists(): break\n"
        f"    time.sleep(0.05)\n{LEAVE}"
    )


def until(look: Callable[[], T | None], seconds: float = 90.0) -> T:
    """Return what `look` finds as soon as it finds something."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        found = look()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"nothing within {seconds} s")
