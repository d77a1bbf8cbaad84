"""F1: kill -9 of the engine at its crash points, again and again, and what is left in the end.

Each life of the engine is a fork of this process, so that a life costs no imports: it takes the
store, goes on with the dispatch loop, and kills itself when it has passed a number of points that
was drawn for it. The node ends pods at once, in a process of its own.
"""

from __future__ import annotations

import dataclasses
import multiprocessing
import multiprocessing.queues
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from benchmarks import frame
from benchmarks.kubernetes import _faults, _world
from engine.model import records
from engine.model.dispatches import AttemptState
from engine.testing import crash
from tests.support.clusters import fixtures
from tests.support.clusters.process_kubelet import ProcessKubelet

POINTS_MAX = 40
TASKS = 10
LIFE_SECONDS = 30.0
CONVERGE_SECONDS = 120.0
LIVES_A_RUN = 12

_FORKS = multiprocessing.get_context("fork")


class DyingPoints(crash.CrashPoints):
    """Kills the process at the so-many-th point that it passes, whichever that is."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self._left = number

    def passed(self, point: str) -> None:  # noqa: ARG002 - all points are alike here
        """Count a point, and die at the last."""
        self._left -= 1
        if self._left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)


def figures(place: fixtures.Place, scratch: Path, kills: int, seed: int) -> Iterator[frame.Figure]:
    """Yield what is left after so many kills."""
    node = _FORKS.Process(
        target=play_node, args=(place, scratch / "f1-node", "node-f1"), daemon=True
    )
    node.start()
    try:
        yield from _killed(place, scratch / "f1", kills, seed)
    finally:
        node.kill()
        node.join()


def play_node(place: fixtures.Place, folder: Path, name: str) -> None:
    """Play a node that ends pods at once, until killed."""
    api = fixtures.api_of(place.plane.kubeconfig, place.context)
    kubelet = ProcessKubelet(api, name, folder, pool="nodes")
    kubelet.script = _faults.ends_well
    kubelet.start()
    while True:
        time.sleep(60.0)


def _killed(place: fixtures.Place, home: Path, kills: int, seed: int) -> Iterator[frame.Figure]:
    chance = random.Random(seed)
    deaths, runs = 0, 0
    began = time.monotonic()
    for number in range(2 * kills):
        if deaths >= kills:
            break
        submits = number % LIVES_A_RUN == 0
        runs += submits
        points = chance.randint(1, POINTS_MAX)
        life = _FORKS.Process(target=_life, args=(place, home, points, runs if submits else 0))
        life.start()
        life.join(2 * LIFE_SECONDS)
        if life.is_alive():
            life.kill()
            life.join()
        deaths += life.exitcode == -signal.SIGKILL
    rate = deaths / (time.monotonic() - began)
    told: multiprocessing.queues.SimpleQueue[dict[str, float]] = _FORKS.SimpleQueue()
    last = _FORKS.Process(target=_end, args=(place, home, runs, told))
    last.start()
    found: dict[str, float] = told.get()
    last.join()
    yield frame.at_least("F1 kills: kill -9 of the engine", deaths, kills)
    yield frame.informs("F1 kills: kills a second", rate)
    yield frame.at_most("F1 kills: tasks lost", found["lost"], 0)
    yield frame.at_most("F1 kills: attempts with two pods", found["twice"], 0)
    yield frame.at_most("F1 kills: tasks with two attempts", found["attempts"], 0)
    yield frame.at_most("F1 kills: jobs that the store does not know", found["orphans"], 0)
    yield frame.at_most("F1 kills: time to converge at last", found["seconds"], 30, unit="s")


def _life(place: fixtures.Place, home: Path, points: int, submits: int) -> None:
    """Live until the points are passed or everything is done; os._exit spares the cleaning up."""
    engine = _world.Engine(home, _world.settings(place, connections=4), points=DyingPoints(points))
    if submits:
        engine.submit(_world.pipeline(submits, TASKS))
    end = time.monotonic() + LIFE_SECONDS
    while time.monotonic() < end:
        engine.dispatcher.step()
        time.sleep(0.02)
    os._exit(0)


def _end(
    place: fixtures.Place,
    home: Path,
    runs: int,
    told: multiprocessing.queues.SimpleQueue[dict[str, float]],
) -> None:
    """Let an engine that nobody kills come to an end, and count."""
    # A connection must not be shared with the process that this one was forked from.
    own = fixtures.api_of(place.plane.kubeconfig, place.context)
    place = dataclasses.replace(place, admin=own)
    engine = _world.Engine(home, _world.settings(place, connections=4))
    attempts = engine.attempts()

    def over() -> bool:
        nonlocal attempts
        attempts = engine.attempts()
        states = {each.state for each in attempts}
        return not states & {AttemptState.INTENDED, AttemptState.RUNNING} and len(
            attempts
        ) >= TASKS * submitted(engine)

    seconds = _faults.step_until(engine, over, CONVERGE_SECONDS)
    jobs, pods = _faults.on_server(place, engine)
    wanted = TASKS * submitted(engine)
    tries = Counter((each.run_id, each.task) for each in attempts)
    told.put(
        {
            "lost": float(wanted - _faults.successes(attempts)),
            "twice": float(len(pods) - len(set(pods))),
            "attempts": float(sum(count > 1 for count in tries.values())),
            "orphans": float(len(jobs - {each.attempt_id for each in attempts})),
            "seconds": seconds,
            "runs": float(runs),
        }
    )
    os._exit(0)


def submitted(engine: _world.Engine) -> int:
    """Return how many runs are in the store: a life may have died before it submitted one."""
    return len(engine.ledger.select(records.RUNS, limit=100_000))
