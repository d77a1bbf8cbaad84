"""kill -9 of the engine at named points of the demo: nothing lost, nothing started twice, same end.

One undisturbed demo records every crash point that it passes (before and after each commit and
each call of an executor or model server). Forty of them, spread evenly over the order in which they
came, are then armed: the engine is killed at the first of them that it passes, started again with
the others armed, and so on, until it died at forty. A few more are armed than are asked for, since
some are passed only when two things happen in one order. `--quick` kills at five points.

Counted: points at which the engine was killed; attempts that were started more than once (each
real start appends a line to `started.log` before anything else); task runs that
ended otherwise than undisturbed; records that the recovered store lacks.
"""

from __future__ import annotations

import json
import math
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import frame
from engine import store
from engine.model import records, specs

POINTS = 40
QUICK_POINTS = 5
POINTS_PER_DEMO = 25
SPARE_SHARE = 0.15
MOST_DEMOS = 24
SEED = 7
DEMO_SECONDS = 480


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How one demo ended.

    states: for each task of each run (by the cause of the run) its final state.
    started: how often each attempt was really started; deaths: where the engine was killed.
    """

    exit_code: int
    states: dict[str, str]
    started: dict[str, int]
    orphans: int
    deaths: tuple[str, ...]
    failed_swaps: int


def run(context: frame.Context) -> Iterator[frame.Figure]:
    """Yields the figures; takes about two minutes a demo."""
    passed = context.scratch / "points.txt"
    calm = demo(context.scratch / "calm", environment={"BERTH_CRASH_RECORD": str(passed)})
    lines = passed.read_text(encoding="utf-8").split()
    asked = QUICK_POINTS if context.quick else POINTS
    yield from figures(calm, killed(context.scratch, sample(lines, asked), asked), asked)


def killed(scratch: Path, points: Sequence[str], asked: int) -> list[Ending]:
    """Runs as many demos as it takes to kill the engine at so many points; returns their ends."""
    endings: list[Ending] = []
    left = list(points)
    while left and len(endings) < MOST_DEMOS and sum(len(e.deaths) for e in endings) < asked:
        armed, left = left[:POINTS_PER_DEMO], left[POINTS_PER_DEMO:]
        ending = demo(scratch / f"killed-{len(endings)}", points=armed)
        endings.append(ending)
        # A point that this demo did not pass gets another chance with the next ones.
        if ending.deaths:
            left = [point for point in armed if point not in ending.deaths] + left
    return endings


def figures(calm: Ending, endings: Sequence[Ending], asked: int) -> Iterator[frame.Figure]:
    """Yields what the endings say against the undisturbed one."""
    deaths = sum(len(ending.deaths) for ending in endings)
    twice = sum(count > 1 for ending in endings for count in ending.started.values())
    other = sum(ending.states != calm.states for ending in endings)
    yield frame.at_least("points at which the engine was killed", deaths, asked)
    yield frame.at_most("attempts started more than once", twice, 0)
    yield frame.at_most("demos that ended otherwise", other, 0)
    yield frame.at_most(
        "demos that failed", sum(ending.exit_code != 0 for ending in [calm, *endings]), 0
    )
    yield frame.at_most(
        "attempts started that the store does not know",
        sum(ending.orphans for ending in endings),
        0,
    )
    yield frame.informs("attempts started", sum(sum(ending.started.values()) for ending in endings))
    yield frame.informs("requests failed by swaps", sum(e.failed_swaps for e in endings))


def sample(lines: Sequence[str], asked: int) -> list[str]:
    """Returns so many points of a recording and some to spare, in the order of first passing."""
    count = asked + math.ceil(asked * SPARE_SHARE)
    # Demos that are killed are brief: they do not look ahead.
    order = list(
        dict.fromkeys(
            line.partition("#")[0] for line in lines if not line.startswith("commit:capacity.")
        )
    )
    if len(order) <= count:
        return order
    chosen = random.Random(SEED).sample(range(len(order)), count)
    return [order[index] for index in sorted(chosen)]


def demo(
    home: Path, *, points: Sequence[str] = (), environment: dict[str, str] | None = None
) -> Ending:
    """Runs one demo in a folder of its own and returns how it ended."""
    summary = home.with_suffix(".json")
    armed = home.with_suffix(".points")
    armed.write_text("\n".join(points), encoding="utf-8")
    command = [sys.executable, "-m", "berth", "demo", "--exit", "--home", str(home)]
    command += ["--summary", str(summary), "--crash-points", str(armed), "--brief"]
    with home.with_suffix(".log").open("wb") as log:
        code = subprocess.run(
            command,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
            cwd=frame.ROOT.parent,
            timeout=DEMO_SECONDS,
            check=False,
        ).returncode
    told = json.loads(summary.read_text(encoding="utf-8")) if summary.exists() else {}
    return ending(home, code, told)


def ending(home: Path, code: int, told: dict[str, object]) -> Ending:
    """Returns how a demo ended, from its store and its log of starts."""
    ledger = store.open_ledger(f"sqlite:///{home / 'berth.sqlite'}")
    known = {stored.value.attempt_id for stored in ledger.select(records.ATTEMPTS)}
    started = starts(home)
    deaths = told.get("engine death points", [])
    return Ending(
        exit_code=code,
        states=task_states(home),
        started=started,
        orphans=sum(name not in known for name in started),
        deaths=tuple(deaths) if isinstance(deaths, list) else (),
        failed_swaps=int(str(told.get("data fault: failed requests until and during the swap", 0))),
    )


def task_states(home: Path) -> dict[str, str]:
    """Returns the final state of each task that ends, by the cause of its run."""
    ledger = store.open_ledger(f"sqlite:///{home / 'berth.sqlite'}")
    causes = {
        stored.value.run_id: stored.value.cause.value for stored in ledger.select(records.RUNS)
    }
    tasks = [stored.value for stored in ledger.select(records.TASK_RUNS)]
    return {
        f"{causes[task.run_id]} {task.run_id} {task.task}": task.state.value
        for task in tasks
        if task.kind is not specs.TaskKind.SERVE
    }


def starts(home: Path) -> dict[str, int]:
    """Returns how often each attempt was really started: one line each in `started.log`."""
    lines = (home / "started.log").read_text(encoding="utf-8").splitlines()
    return dict(Counter(line.partition(" ")[0] for line in lines))
