"""F1: kill -9 of the engine at its crash points, again and again, and what is left in the end.

Each life of the engine is a fork of this process, which has lived through one such life before, so
that it costs neither imports nor first times: it takes the store, goes on with the dispatch loop,
and kills itself when it has passed a number of points that was drawn for it. Points stand before
and after every commit, every call of the executor, and every write to the API server. The node ends
pods at once, in a process of its own. A hundred kills or so are a round with a store of its own, so
that a life does not read the history of all before it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import multiprocessing
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

from benchmarks import frame
from benchmarks.kubernetes import _faults, _world
from engine.model import records
from engine.model.dispatches import AttemptState
from engine.model.identifiers import TaskName
from engine.model.specs import PipelineSpec, TaskKind, TaskSpec
from engine.testing import crash, samples
from executors.kubernetes.api import Api
from tests.support.clusters import fixtures
from tests.support.clusters.process_kubelet import ProcessKubelet

POINTS_MAX = 30
TASKS = 10
LIFE_SECONDS = 30.0
CONVERGE_SECONDS = 600.0
LIVES_A_RUN = 4
ROUND_KILLS = 100
WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})

_FORKS = multiprocessing.get_context("fork")


class DyingPoints(crash.CrashPoints):
    """Kills the process at the so-many-th point that it passes, whichever that is.

    told: file to which the name of the point is appended before.
    """

    def __init__(self, number: int, told: Path) -> None:
        super().__init__()
        self._left = number
        self._told = told

    def passed(self, point: str) -> None:
        """Count a point, and die at the last."""
        self._left -= 1
        if self._left <= 0:
            with self._told.open("a", encoding="utf-8") as file:
                file.write(f"{point}\n")
            os.kill(os.getpid(), signal.SIGKILL)


@dataclass(slots=True)
class Round:
    """What came of some kills of one store."""

    kills: int = 0
    lives: int = 0
    points: set[str] = field(default_factory=set)
    found: Counter[str] = field(default_factory=Counter)
    pass_seconds: float = 0.0
    seconds: float = 0.0


def figures(place: fixtures.Place, scratch: Path, kills: int, seed: int) -> Iterator[frame.Figure]:
    """Yield what is left after so many kills."""
    began = time.monotonic()
    rounds: list[Round] = []
    with playing(place, scratch / "f1-node", "node-f1"):
        _warm(place, scratch / "f1-warm")
        for number in range(kills):
            done = sum(each.kills for each in rounds)
            if done >= kills:
                break
            home = scratch / f"f1-{number}"
            rounds.append(_round(place, home, min(ROUND_KILLS, kills - done), seed + number))
    yield from told(rounds, kills, time.monotonic() - began)


def told(rounds: list[Round], kills: int, seconds: float) -> Iterator[frame.Figure]:
    """Yield the figures of all rounds together."""
    done = sum(each.kills for each in rounds)
    points = {point for each in rounds for point in each.points}
    found = sum((each.found for each in rounds), Counter())
    first = max(each.pass_seconds for each in rounds)
    slowest = max(each.seconds for each in rounds)
    yield frame.at_least("F1 kills: kill -9 of the engine", done, kills)
    yield frame.informs("F1 kills: kills a minute", done / seconds * 60.0)
    yield frame.informs("F1 kills: different points died at", len(points))
    yield frame.informs("F1 kills: tasks", found["tasks"])
    yield frame.at_most("F1 kills: tasks lost", found["lost"], 0)
    yield frame.at_most("F1 kills: attempts with two pods", found["twice"], 0)
    yield frame.at_most("F1 kills: tasks with two attempts", found["attempts"], 0)
    yield frame.at_most("F1 kills: orphans after one pass of each life", found["orphans"], 0)
    yield frame.at_most("F1 kills: orphans in the end", found["orphans at last"], 0)
    yield frame.at_most(
        "F1 kills: longest pass of an engine that nobody kills", first, 10, unit="s"
    )
    yield frame.informs("F1 kills: longest time until all is done", slowest, unit="s")


@contextlib.contextmanager
def playing(place: fixtures.Place, folder: Path, name: str) -> Iterator[None]:
    """Play a node in a process of its own; it is gone from the cluster afterwards."""
    name = f"{name}-{os.getpid()}"
    node = _FORKS.Process(target=play_node, args=(place, folder, name), daemon=True)
    node.start()
    try:
        yield
    finally:
        node.kill()
        node.join()
        fixtures.api_of(place.plane.kubeconfig, place.context).call(
            "DELETE", f"/api/v1/nodes/{name}"
        )


def play_node(place: fixtures.Place, folder: Path, name: str) -> None:
    """Play a node that ends pods at once, until killed."""
    api = fixtures.api_of(place.plane.kubeconfig, place.context)
    kubelet = ProcessKubelet(api, name, folder, pool="nodes")
    kubelet.script = _faults.ends_well
    kubelet.start()
    while True:
        time.sleep(60.0)


def workload(number: int, seed: int) -> PipelineSpec:
    """Return a pipeline of tasks that wait for others by chance."""
    chance = random.Random(f"{seed}-{number}")
    names = [TaskName(f"task-{each}") for each in range(TASKS)]
    tasks = []
    for at, name in enumerate(names):
        after = (chance.choice(names[:at]),) if at and chance.random() < 0.5 else ()
        tasks.append(TaskSpec(name=name, kind=TaskKind.ETL, command=("true",), after=after))
    return samples.pipeline(*tasks, name=f"kills-{seed}-{number}")


def _warm(place: fixtures.Place, home: Path) -> None:
    """Live once in this process, so that forks find caches filled; no thread is left of it."""
    engine = _world.Engine(home, _world.settings(place, connections=4))
    engine.submit(workload(0, 0))
    _faults.step_until(engine, lambda: _faults.done(engine, TASKS), CONVERGE_SECONDS)
    engine.close()


def _round(place: fixtures.Place, home: Path, kills: int, seed: int) -> Round:
    """Kill an engine of a store of its own so often, then let one come to an end and count."""
    chance = random.Random(seed)
    made = Round()
    home.mkdir(parents=True)
    points, orphans, end = home / "points", home / "orphans", home / "end.json"
    while made.kills < kills and made.lives < 3 * kills:
        spec = None
        if made.lives % LIVES_A_RUN == 0:
            spec = workload(made.lives, seed)
        passed = DyingPoints(chance.randint(1, POINTS_MAX), points)
        life = _FORKS.Process(target=_life, args=(place, home, passed, spec, orphans))
        life.start()
        life.join(2 * LIFE_SECONDS)
        if life.is_alive():
            life.kill()
            life.join()
        made.lives += 1
        made.kills += life.exitcode == -signal.SIGKILL
    last = _FORKS.Process(target=_end, args=(place, home, end))
    last.start()
    last.join()
    if last.exitcode:
        raise frame.BenchmarkError("F1: the engine that nobody kills failed")
    counts = json.loads(end.read_text("utf-8"))
    made.pass_seconds, made.seconds = counts.pop("pass_seconds"), counts.pop("seconds")
    made.found = Counter(counts)
    made.found["orphans"] = len(orphans.read_text("utf-8").split()) if orphans.exists() else 0
    made.points = set(points.read_text("utf-8").split())
    return made


def _crossing(points: crash.CrashPoints) -> Callable[..., bytes]:
    """Return `Api.read` with points on either side of every write."""
    read = Api.read

    def crossed(self: Api, method: str, path: str, **how: object) -> bytes:
        if method in WRITES:
            points.passed(f"api:{method}:before")
        content = read(self, method, path, **how)  # type: ignore[arg-type]  # passed on as given
        if method in WRITES:
            points.passed(f"api:{method}:after")
        return content

    return crossed


def _life(
    place: fixtures.Place,
    home: Path,
    points: DyingPoints,
    spec: PipelineSpec | None,
    orphans: Path,
) -> None:
    """Live until the points are passed or everything is done; os._exit spares the cleaning up."""
    with mock.patch.object(Api, "read", _crossing(points)):
        engine = _world.Engine(home, _world.settings(place, connections=4), points=points)
        if spec is not None:
            engine.submit(spec)
        end = time.monotonic() + LIFE_SECONDS
        engine.dispatcher.step()
        note_orphans(engine, orphans)
        while time.monotonic() < end:
            engine.dispatcher.step()
            time.sleep(0.02)
    os._exit(0)


def note_orphans(engine: _world.Engine, told: Path) -> None:
    """Note the Jobs that the cache shows after a pass and the store does not know."""
    link = engine.clusters.links()[_world.CLUSTER]
    seen = {str(each["attempt"]) for each in link.jobs.objects()} if link.jobs else set()
    lost = seen - {each.attempt_id for each in engine.attempts()}
    if lost:
        with told.open("a", encoding="utf-8") as file:
            file.write("".join(f"{each}\n" for each in sorted(lost)))


def _end(place: fixtures.Place, home: Path, told: Path) -> None:
    """Let an engine that nobody kills come to an end, and count."""
    # A connection must not be shared with the process that this one was forked from.
    own = fixtures.api_of(place.plane.kubeconfig, place.context)
    place = dataclasses.replace(place, admin=own)
    began = time.monotonic()
    engine = _world.Engine(home, _world.settings(place, connections=4))
    engine.dispatcher.step()
    note_orphans(engine, told.with_name("orphans"))
    pass_seconds = time.monotonic() - began
    attempts = engine.attempts()
    wanted = TASKS * submitted(engine)

    def over() -> bool:
        nonlocal attempts
        attempts = engine.attempts()
        states = {each.state for each in attempts}
        lives = states & {AttemptState.INTENDED, AttemptState.RUNNING}
        return not lives and len(attempts) >= wanted

    seconds = _faults.step_until(engine, over, CONVERGE_SECONDS)
    jobs, pods = _faults.on_server(place, engine)
    tries = Counter((each.run_id, each.task) for each in attempts)
    counts = {
        "tasks": wanted,
        "lost": wanted - _faults.successes(attempts),
        "twice": len(pods) - len(set(pods)),
        "attempts": sum(count > 1 for count in tries.values()),
        "orphans at last": len(jobs - {each.attempt_id for each in attempts}),
        "pass_seconds": pass_seconds,
        "seconds": seconds,
    }
    told.write_text(json.dumps(counts), "utf-8")
    os._exit(0)


def submitted(engine: _world.Engine) -> int:
    """Return how many runs are in the store: a life may have died before it submitted one."""
    return len(engine.ledger.select(records.RUNS, limit=100_000))
