"""F2, F11 and F12: several engines, clocks that jump, and two that both believe to lead.

See `faults.py`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import multiprocessing
import multiprocessing.queues
import os
import random
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path

from benchmarks import frame
from benchmarks.kubernetes import _faults, _kills, _world
from engine import store
from engine.clocks import SystemClock
from engine.model.dispatches import AttemptState
from engine.model.errors import BerthError, RefusedError
from engine.model.records import ATTEMPTS
from engine.ports import Ledger
from executors.kubernetes import jobs
from executors.kubernetes.api import Document
from executors.kubernetes.reflector import Reflector
from tests.support import postgresql
from tests.support.clusters import fixtures, proxy

REPLICAS = ("a", "b", "c")
LEASE_SECONDS = 6.0
CHAOS_SECONDS = 3.0
CONVERGE_SECONDS = 420.0
JUMP_SECONDS = 3_600.0
SPLIT_TASKS = 10

_FORKS = multiprocessing.get_context("fork")


class JumpingClock(SystemClock):
    """The wall clock, set wrong by so many seconds; differences of `monotonic` stay right."""

    def __init__(self) -> None:
        self.wrong_seconds = 0.0

    def now(self) -> float:
        """Return what somebody set the clock to."""
        return super().now() + self.wrong_seconds


def split_brain(stage: _faults.Stage) -> Iterator[frame.Figure]:
    """F12: a second engine takes over while the first one goes on as if it led."""
    with stage.engine(member=_world.Member(name="older")) as older:
        for _ in range(SPLIT_TASKS):
            stage.submit(older)
        refused = threading.Event()

        def goes_on() -> None:
            end = time.monotonic() + _faults.WAIT_SECONDS
            while time.monotonic() < end:
                try:
                    older.dispatcher.step()
                except RefusedError:
                    refused.set()
                    return

        thread = threading.Thread(target=goes_on)
        thread.start()
        while not older.attempts():
            time.sleep(0.01)
        # The term ends before the older one can be done; making an engine takes a while.
        term = store.begin_term(older.ledger, older.clock, "newer")
        newer = _world.Engine(
            older.home,
            _world.settings(stage.place, connections=4),
            member=_world.Member(name="newer", term=term),
        )
        try:
            wanted = SPLIT_TASKS * _faults.TASKS
            _faults.step_until(newer, lambda: _faults.done(newer, wanted))
            thread.join(_faults.WAIT_SECONDS)
            known, pods = _faults.on_server(stage.place, newer)
            found = newer.attempts()
            yield frame.at_least(
                "F12 split brain: the older is refused", float(refused.is_set()), 1
            )
            yield frame.at_least(
                "F12 split brain: tasks that succeeded", _faults.successes(found), wanted
            )
            yield frame.at_most("F12 split brain: attempts beyond one", len(found) - wanted, 0)
            orphans = known - {each.attempt_id for each in found}
            yield frame.at_most("F12 split brain: unknown jobs", len(orphans), 0)
            twice = len(pods) - len(set(pods))
            yield frame.at_most("F12 split brain: attempts with two pods", twice, 0)
        finally:
            newer.close()


def clock_jumps(stage: _faults.Stage) -> Iterator[frame.Figure]:
    """F11: the clock of an engine jumps an hour while its cluster is silent, and back again."""
    yield from _lease(stage.scratch / "lease")
    clock = JumpingClock()
    stage.node.script = _faults.runs_on
    with stage.engine(discovers=True, member=_world.Member(clock=clock)) as engine:
        stage.submit(engine)
        _faults.step_until(engine, lambda: engine.count(AttemptState.RUNNING) == _faults.TASKS)
        stage.proxy.judge = lambda *_: proxy.Fault.CUT
        stage.proxy.cut_all()
        link = engine.clusters.links()[_world.CLUSTER]
        _faults.step_until(engine, lambda: not link.is_reachable, 60.0)
        clock.wrong_seconds = JUMP_SECONDS
        _faults.step_for(engine, 5.0)
        ended = sum(each.state.is_terminal for each in engine.attempts())
        yield frame.at_most("F11 clock: attempts given up by a jump of an hour", ended, 0)
        stage.proxy.judge = proxy.calm
        clock.wrong_seconds = -600.0
        _faults.step_until(engine, lambda: link.is_reachable, 60.0)
        stage.node.script = _faults.ends_well
        stage.submit(engine)
        took = _faults.step_until(engine, lambda: _faults.done(engine))
        yield frame.at_most("F11 clock: time until new work is done", took, 60, unit="s")
        lost = engine.count(AttemptState.LOST) + engine.count(AttemptState.FAILED)
        yield frame.at_most("F11 clock: attempts lost or failed", lost, 0)


def _lease(home: Path) -> Iterator[frame.Figure]:
    """Yield how often an engine whose clock is an hour ahead takes the lease of a living one."""
    home.mkdir(parents=True)
    ledger = store.open_ledger(f"sqlite:///{home / 'berth.sqlite'}")
    with contextlib.closing(ledger):
        ahead = JumpingClock()
        ahead.wrong_seconds = JUMP_SECONDS
        leader = store.Elector(ledger, SystemClock(), "leader", seconds=3.0)
        other = store.Elector(ledger, ahead, "ahead", seconds=3.0)
        stolen = 0
        for _ in range(30):
            leader.look()
            stolen += other.look() is not None
            ahead.wrong_seconds *= -1.0
            time.sleep(0.2)
    yield frame.at_most("F11 clock: leases taken from a living leader", stolen, 0)


def replicas(place: fixtures.Place, scratch: Path, tasks: int, seed: int) -> Iterator[frame.Figure]:
    """F2: three replicas on one PostgreSQL are killed and halted at random during a flood."""
    programs = postgresql.programs()
    if programs is None:
        raise frame.BenchmarkError("F2 needs PostgreSQL: apt install postgresql")
    folder = scratch / "postgresql"
    folder.mkdir()
    for each in (scratch, folder):
        each.chmod(0o755)
    server = postgresql.PostgresqlServer(folder, programs)
    server.start()
    members: dict[str, BaseProcess] = {}
    with contextlib.ExitStack() as ends:
        ends.callback(server.stop)
        ends.enter_context(_kills.playing(place, scratch / "f2-node", "node-f2"))
        ends.callback(_kill_all, members)
        url = server.database()
        home = scratch / "f2"
        told: multiprocessing.queues.SimpleQueue[dict[str, float]] = _FORKS.SimpleQueue()
        flood = _FORKS.Process(target=_flood, args=(place, home, url, tasks))
        flood.start()
        flood.join()
        chaos = _FORKS.Process(target=_watched, args=(place, url, tasks, told))
        chaos.start()
        kills, halts = _chaos(place, home, url, members, chaos, seed)
        if chaos.exitcode:
            raise frame.BenchmarkError("F2: the process that watches the flood failed")
        found = told.get()
    yield frame.informs("F2 replicas: kill -9 of a replica", kills)
    yield frame.informs("F2 replicas: replicas halted for longer than the lease", halts)
    yield frame.at_least("F2 replicas: tasks that succeeded", found["done"], tasks)
    yield frame.at_most("F2 replicas: attempts beyond one a task", found["beyond"], 0)
    yield frame.at_most("F2 replicas: jobs made twice under one name", found["twice"], 0)
    yield frame.at_most("F2 replicas: jobs that the store does not know", found["orphans"], 0)
    yield frame.informs("F2 replicas: time of the flood", found["seconds"], unit="s")


def _kill_all(members: dict[str, BaseProcess]) -> None:
    for process in members.values():
        process.kill()
        process.join()


def _chaos(
    place: fixtures.Place,
    home: Path,
    url: str,
    members: dict[str, BaseProcess],
    watched: BaseProcess,
    seed: int,
) -> tuple[int, int]:
    """Kill and halt replicas until everything is done; return how often each was done."""
    chance = random.Random(seed)
    kills = halts = 0
    while watched.is_alive():
        for name in REPLICAS:
            if name not in members or not members[name].is_alive():
                members[name] = _FORKS.Process(target=_replica, args=(place, home, url, name))
                members[name].start()
        watched.join(chance.uniform(0.5, 1.5) * CHAOS_SECONDS)
        chosen = chance.sample(REPLICAS, chance.randint(1, len(REPLICAS)))
        if chance.random() < 0.5:
            for name in chosen:
                members[name].kill()
                members[name].join()
            kills += len(chosen)
            continue
        pids = [members[name].pid or 0 for name in chosen]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        watched.join(1.5 * LEASE_SECONDS)
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        halts += len(chosen)
    return kills, halts


def _replica(place: fixtures.Place, home: Path, url: str, name: str) -> None:
    """Live as one of several engines: lead while the lease is held, else stand by."""
    elector = store.Elector(store.open_ledger(url), SystemClock(), name, seconds=LEASE_SECONDS)
    threading.Thread(target=_keep, args=(elector,), daemon=True).start()
    engine: _world.Engine | None = None
    while True:
        with contextlib.suppress(BerthError):
            term = elector.term
            if term is not None and engine is None:
                engine = _engine(place, home, _world.Member(name=name, database=url, term=term))
            if term is None and engine is not None:
                os._exit(1)  # it begins anew, as a replica that lost its lease
            if engine is not None:
                engine.dispatcher.step()
        time.sleep(0.05)


def _keep(elector: store.Elector) -> None:
    """Look after the lease, however long a step of the dispatch loop takes."""
    while True:
        with contextlib.suppress(BerthError):
            elector.look()
        time.sleep(LEASE_SECONDS / 6)


def _engine(place: fixtures.Place, home: Path, member: _world.Member) -> _world.Engine:
    return _world.Engine(home, _world.settings(place, connections=4), member=member)


def _flood(place: fixtures.Place, home: Path, url: str, tasks: int) -> None:
    engine = _engine(place, home, _world.Member(name="flood", database=url))
    for number in range(tasks // _kills.TASKS):
        engine.submit(_world.pipeline(number, _kills.TASKS))
    os._exit(0)


def _watched(
    place: fixtures.Place,
    url: str,
    tasks: int,
    told: multiprocessing.queues.SimpleQueue[dict[str, float]],
) -> None:
    """Watch every Job that is made until all tasks are done; tell what was seen."""
    own = fixtures.api_of(place.plane.kubeconfig, place.context)
    place = dataclasses.replace(place, admin=own)
    made: dict[str, set[str]] = defaultdict(set)

    def keep(item: Document) -> Document:
        made[item["metadata"]["name"]].add(item["metadata"]["uid"])
        return jobs.keep_job(item)

    path = f"/apis/batch/v1/namespaces/{place.namespace}/jobs"
    cache = Reflector(own, path, keep)
    cache.start()
    ledger = store.open_ledger(url)
    began = time.monotonic()
    while _succeeded(ledger) < tasks and time.monotonic() - began < CONVERGE_SECONDS:
        time.sleep(1.0)
    attempts = [each.value for each in ledger.select(ATTEMPTS, limit=1_000_000)]
    known = {each.attempt_id for each in attempts}
    orphans = {each["attempt"] for each in cache.objects()} - known
    told.put(
        {
            "done": float(_faults.successes(attempts)),
            "beyond": float(len(attempts) - tasks),
            "twice": float(sum(len(uids) > 1 for uids in made.values())),
            "orphans": float(len(orphans)),
            "seconds": time.monotonic() - began,
        }
    )
    os._exit(0)


def _succeeded(ledger: Ledger) -> int:
    where = {"state": AttemptState.SUCCEEDED.value}
    return len(ledger.select(ATTEMPTS, where=where, limit=1_000_000))
