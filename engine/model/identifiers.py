"""Names and ids, each with a type of its own so that they cannot be mixed up."""

from __future__ import annotations

from typing import NewType

PipelineName = NewType("PipelineName", str)
TaskName = NewType("TaskName", str)
ClusterName = NewType("ClusterName", str)
PoolName = NewType("PoolName", str)
PlanId = NewType("PlanId", str)
"""`p-` and eight letters: a hash of the plan's content."""
RunId = NewType("RunId", str)
"""`r-` and a number counted up by the store."""
AttemptId = NewType("AttemptId", str)
"""`RUN.TASK.N`: deterministic, so that a repeated start names the same attempt."""
SuperAlarmId = NewType("SuperAlarmId", str)
Digest = NewType("Digest", str)
"""`sha256:` and 64 hexadecimal digits."""
MicroDollars = NewType("MicroDollars", int)
"""Money: integer millionths of a US dollar."""

FREE = MicroDollars(0)


def attempt_id(run: RunId, task: TaskName, number: int) -> AttemptId:
    """Return the deterministic id of attempt `number` (from 1) of a task of a run."""
    return AttemptId(f"{run}.{task}.{number}")


def dollars(amount: float) -> MicroDollars:
    """Return US dollars as integer micro-dollars, rounded to the nearest."""
    return MicroDollars(round(amount * 1_000_000))
