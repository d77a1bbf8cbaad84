"""Failures to be remedied: real needs of memory, and injected failures of which the cause is known.

The words of injected failures are those that programs print; numbers in them vary by a seed.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.forecasting import sizing
from engine.model.dispatches import Reason

HISTORY = 0.3
GIB_OF_GB = 1e9 / 2**30


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One run: what its task is called, its input, what it needs and for how long.

    first_gib: what the stated first rule holds. known: so many runs of the task ended before.
    """

    task: str
    place: int
    volume_gib: float
    need_gib: float
    hours: float
    first_gib: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Injected:
    """An end that is not about memory.

    lines: of the log, as a format of one number. cpu_share: of one processor, as measured.
    """

    name: str
    reason: Reason
    exit_code: int | None
    lines: tuple[str, ...]
    cpu_share: float = 1.0


TRACEBACK = 'File "train.py", line {0}, in <module>'
USER_ERRORS = (
    Injected(
        name="missing module",
        reason=Reason.EXIT_CODE,
        exit_code=1,
        lines=(TRACEBACK, "ModuleNotFoundError: No module named 'lightgbm'"),
    ),
    Injected(
        name="wrong value",
        reason=Reason.EXIT_CODE,
        exit_code=1,
        lines=(TRACEBACK, "ValueError: could not convert string to float: 'n/a' at row {0}"),
    ),
    Injected(
        name="wrong arguments",
        reason=Reason.EXIT_CODE,
        exit_code=2,
        lines=("usage: train.py [-h] --rate RATE", "train.py: error: unrecognized arguments: -q"),
    ),
    Injected(
        name="no such command",
        reason=Reason.EXIT_CODE,
        exit_code=127,
        lines=("/bin/sh: 1: salmonn: not found",),
    ),
    Injected(
        name="missing file",
        reason=Reason.EXIT_CODE,
        exit_code=1,
        lines=(TRACEBACK, "FileNotFoundError: [Errno 2] No such file or directory: 's{0}.fq'"),
    ),
    Injected(
        name="input refused",
        reason=Reason.BAD_INPUT,
        exit_code=65,
        lines=("column 'age' of row {0} is 'old', not a number",),
    ),
)
HOPELESS = (
    Injected(name="more than any machine", reason=Reason.OUT_OF_MEMORY, exit_code=-9, lines=()),
    Injected(name="gate", reason=Reason.GATE, exit_code=66, lines=("quality 0.61 is below 0.8",)),
    Injected(
        name="the same unknown end",
        reason=Reason.EXIT_CODE,
        exit_code=3,
        lines=("solver: singular system at step {0}",),
    ),
    Injected(name="hangs", reason=Reason.TIMED_OUT, exit_code=-15, lines=(), cpu_share=0.001),
    Injected(
        name="no answer in numbers",
        reason=Reason.EXIT_CODE,
        exit_code=1,
        lines=(TRACEBACK, "numpy.linalg.LinAlgError: Matrix is not positive definite"),
    ),
)
INFRASTRUCTURE = (
    Injected(name="evicted", reason=Reason.EVICTED, exit_code=None, lines=()),
    Injected(name="node lost", reason=Reason.NODE_LOST, exit_code=None, lines=()),
    Injected(
        name="network",
        reason=Reason.EXIT_CODE,
        exit_code=1,
        lines=("requests: Connection reset by peer after {0} bytes",),
    ),
)


def spoken(injected: Injected, dice: random.Random) -> tuple[str, ...]:
    """Returns the lines of one failure."""
    return tuple(line.format(dice.randrange(1, 100_000)) for line in injected.lines)


def histories(path: Path, seed: int) -> Iterator[tuple[str, sizing.Task]]:
    """Yields the runs of every process with enough of them, in the order of the seed."""
    name = path.name.split(".")[0].removeprefix("trace_")
    for number, task in enumerate(sizing.tasks(sizing.read(path), seed)):
        yield f"{name}-{number}", task


def cases(name: str, task: sizing.Task, percentile: float) -> Iterator[Case]:
    """Yields the runs after the first three tenths, whose first try is a percentile so far."""
    needs = task.memory * GIB_OF_GB
    for place in range(int(HISTORY * len(needs)), len(needs)):
        yield Case(
            task=name,
            place=place,
            volume_gib=float(task.sizes[place]) * GIB_OF_GB,
            need_gib=max(float(needs[place]), 1e-6),
            hours=float(task.hours[place]),
            first_gib=float(np.percentile(needs[:place], percentile)),
        )
