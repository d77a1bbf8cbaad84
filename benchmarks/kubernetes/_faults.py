"""What the faults share, and those that meet single requests or pods; see `faults.py`."""

from __future__ import annotations

import contextlib
import itertools
import math
import time
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import frame
from benchmarks.kubernetes import _world
from engine.model.dispatches import Attempt, AttemptState, Reason
from executors.kubernetes.api import Document
from executors.kubernetes.patience import LAST_SECONDS
from tests.support.clusters import fixtures, process_kubelet, proxy
from tests.support.clusters.process_kubelet import ProcessKubelet

TASKS = 10
WAIT_SECONDS = 120.0

WORD = (
    '{"ending":"exited","code":0,"message":"","started_at":1.0,"ended_at":2.0,"cpu_seconds":0.1,'
    '"memory_bytes_peak":1000,"outputs":{"rows":1},"artifact":"sha256:' + "0" * 64 + '"}'
)
DEATHS: dict[str, tuple[Document, Reason]] = {
    "task-0": (process_kubelet.ended(137, reason="OOMKilled"), Reason.OUT_OF_MEMORY),
    "task-1": (process_kubelet.ended(137, pod_reason="Evicted"), Reason.EVICTED),
    "task-2": (
        process_kubelet.ended(137, disruption="DeletionByTaintManager"),
        Reason.NODE_LOST,
    ),
    "task-3": (process_kubelet.ended(42), Reason.EXIT_CODE),
    "task-4": (
        process_kubelet.ended(137, disruption="PreemptionByScheduler"),
        Reason.PREEMPTED,
    ),
    "task-5": (process_kubelet.ended(128, reason="StartError"), Reason.INFRASTRUCTURE),
    "task-6": (process_kubelet.ended(143), Reason.EXIT_CODE),
}


@dataclass(slots=True)
class Stage:
    """A proxy before a control plane, a node, and a folder for engines."""

    place: fixtures.Place
    scratch: Path
    outage: float
    proxy: proxy.FaultProxy
    node: ProcessKubelet
    numbers: Iterator[int] = field(default_factory=itertools.count)

    @contextlib.contextmanager
    def engine(
        self,
        inactivity: float = 50.0,
        *,
        discovers: bool = False,
        member: _world.Member | None = None,
        beside: Mapping[str, fixtures.Place] = types.MappingProxyType({}),
        node_count: int = _world.NODES,
    ) -> Iterator[_world.Engine]:
        """Start an engine of its own store whose requests go through the proxy.

        beside: clusters, by name, that it has too and reaches without a proxy.
        node_count: nodes of the fleet that it is told of, each with room for two tasks.
        """
        number = next(self.numbers)
        config = self.proxy.kubeconfig(self.place.kubeconfig, self.scratch / f"config-{number}")
        given = _world.settings(self.place, connections=4, kubeconfig=config)
        if beside:
            given = _world.joined(given, beside)
        self.proxy.seen.clear()
        made = _world.Engine(
            self.scratch / f"home-{number}",
            given,
            discovers=discovers,
            inactivity_seconds=inactivity,
            member=member,
            node_count=node_count,
        )
        try:
            yield made
        finally:
            self.proxy.judge = proxy.calm
            self.proxy.hanging = False
            made.close()

    def submit(self, engine: _world.Engine, tasks: int = TASKS) -> None:
        """Submit one run."""
        engine.submit(_world.pipeline(next(self.numbers), tasks))


@contextlib.contextmanager
def stage(place: fixtures.Place, scratch: Path, outage: float) -> Iterator[Stage]:
    """Set the stage: tasks end well at once unless a fault says otherwise."""
    node = ProcessKubelet(place.admin, "node-2", scratch / "node", pool="nodes")
    node.script = ends_well
    node.start()
    before = proxy.FaultProxy(place.plane, user=place.namespace)
    before.start()
    try:
        yield Stage(place, scratch, outage, before, node)
    finally:
        before.stop()
        node.stop()


def ends_well(_pod: Document) -> Document | None:
    """End a pod at once, as the runner would after a success."""
    return process_kubelet.ended(0, message=WORD)


def runs_on(_pod: Document) -> Document | None:
    """Say that a pod runs, and leave it at that."""
    state = {"running": {"startedAt": process_kubelet.now()}}
    return {"phase": "Running", "containerStatuses": [process_kubelet.container_status(state)]}


def step_until(
    engine: _world.Engine, holds: Callable[[], bool], seconds: float = WAIT_SECONDS
) -> float:
    """Run the dispatch loop until something holds; returns how long that took."""
    began = time.monotonic()
    while not holds() and time.monotonic() - began < seconds:
        engine.dispatcher.step()
        time.sleep(0.1)
    return time.monotonic() - began


def step_for(engine: _world.Engine, seconds: float) -> None:
    """Run the dispatch loop for a while."""
    step_until(engine, lambda: False, seconds)


def done(engine: _world.Engine, count: int = TASKS) -> bool:
    """Whether so many attempts succeeded."""
    return engine.count(AttemptState.SUCCEEDED) >= count


def sound(
    stage: Stage, engine: _world.Engine, name: str, tasks: int = TASKS
) -> Iterator[frame.Figure]:
    """Yield what must hold whatever happened: every task once, and nothing else on the server."""
    attempts = engine.attempts()
    known = {each.attempt_id for each in attempts}
    jobs, pods = on_server(stage.place, engine)
    yield frame.at_least(f"{name}: tasks that succeeded", successes(attempts), tasks)
    yield frame.at_most(f"{name}: attempts beyond one a task", len(attempts) - tasks, 0)
    yield frame.at_most(f"{name}: jobs that the store does not know", len(jobs - known), 0)
    yield frame.at_most(f"{name}: attempts with two pods", len(pods) - len(set(pods)), 0)


def successes(attempts: list[Attempt]) -> int:
    """Return how many tasks have an attempt that succeeded."""
    done = [each for each in attempts if each.state is AttemptState.SUCCEEDED]
    return len({(each.run_id, each.task) for each in done})


def on_server(place: fixtures.Place, engine: _world.Engine) -> tuple[set[str], list[str]]:
    """Return the attempts whose Jobs are on the server, and that of every pod."""
    selector = {"labelSelector": f"berth.dev/installation={engine.clusters.installation}"}
    here = f"/namespaces/{place.namespace}"
    jobs = place.admin.call("GET", f"/apis/batch/v1{here}/jobs", query=selector)["items"]
    pods = place.admin.call("GET", f"/api/v1{here}/pods", query=selector)["items"]
    annotation = "berth.dev/attempt-id"
    named = {each["metadata"]["annotations"][annotation] for each in jobs}
    return named, [each["metadata"]["annotations"][annotation] for each in pods]


def lost_answers(stage: Stage) -> Iterator[frame.Figure]:
    """F3: the server makes the Job, and its answer never arrives."""
    with stage.engine() as engine:
        dropped = itertools.count()
        stage.proxy.judge = lambda method, _: (
            proxy.Fault.DROP_REPLY
            if method == "POST" and next(dropped) < TASKS
            else proxy.Fault.NONE
        )
        stage.submit(engine)
        step_until(engine, lambda: done(engine))
        yield from sound(stage, engine, "F3 lost answers")


def conflicts(stage: Stage) -> Iterator[frame.Figure]:
    """F4: nine of ten writes meet a conflict for a while."""
    with stage.engine() as engine:
        stage.proxy.judge = proxy.storm(409, 0.9, 1, "POST PATCH")
        stage.submit(engine)
        seconds = min(60.0, stage.outage)
        step_for(engine, seconds)
        writes = stage.proxy.counted("POST") / TASKS
        spaced = 2.0 + math.log2(seconds) + seconds / LAST_SECONDS
        stage.proxy.judge = proxy.calm
        took = step_until(engine, lambda: done(engine))
        yield frame.at_most("F4 conflicts: writes an object (log-spaced)", writes, spaced)
        yield frame.at_most("F4 conflicts: writes a second and object", writes / seconds, 10)
        yield frame.at_most("F4 conflicts: time to converge afterwards", took, 10, unit="s")
        yield from sound(stage, engine, "F4 conflicts")


def deaths(stage: Stage) -> Iterator[frame.Figure]:
    """F16: pods die in every way."""

    def script(pod: Document) -> Document | None:
        return DEATHS[pod["metadata"]["labels"]["berth.dev/task"]][0]

    stage.node.script = script
    with stage.engine() as engine:
        stage.submit(engine, len(DEATHS))
        step_until(engine, lambda: len(firsts(engine)) == len(DEATHS))
        found = firsts(engine)
        right = sum(found.get(task) is reason for task, (_, reason) in DEATHS.items())
        yield frame.at_least("F16 deaths: told apart rightly", right, len(DEATHS))
    stage.node.script = ends_well


def firsts(engine: _world.Engine) -> dict[str, Reason]:
    """Return the reason of each task's first attempt, once it has ended."""
    ended = [each for each in engine.attempts() if each.number == 1 and each.state.is_terminal]
    return {each.task: each.reason for each in ended}
