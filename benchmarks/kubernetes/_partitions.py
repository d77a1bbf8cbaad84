"""F9 and F10: a cluster is cut off while it runs our tasks, and comes back; see `faults.py`.

The whole product runs: the fleet is discovered, the plan chooses a cluster, the watch notices that
it went silent, the plan loop plans around it, and the dispatch loop moves the tasks after the
grace. Both clusters are namespaces of one control plane, each behind a proxy of its own.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from api.messages import questions
from api.settings import load
from api.wiring import Application, build, leading, loop_parts
from benchmarks import frame
from benchmarks.kubernetes import _faults, _world
from engine import store
from engine.model.dispatches import Attempt, AttemptState
from engine.model.records import ATTEMPTS
from engine.ports import Executor
from executors.kubernetes.api import Document
from executors.kubernetes.executor import KubernetesExecutor
from tests.support.clusters import certificates, fixtures, plane, process_kubelet, proxy
from tests.support.clusters.process_kubelet import ProcessKubelet

NAMES = ("east", "west")
GRACE_SECONDS = 45.0
CLOCK_FACTOR = 60.0
WAIT_SECONDS = 240.0
PIPELINE = """
pipeline: crossing
owner: harbour
tasks:
  stays: {kind: etl, command: ["true"]}
  ends: {kind: etl, command: ["true"]}
"""


@dataclass(slots=True)
class Harbour:
    """Two clusters behind proxies, a node of both, and the product on top, which can restart."""

    home: Path
    node: ProcessKubelet
    places: dict[str, fixtures.Place]
    proxies: dict[str, proxy.FaultProxy]
    application: Application = field(init=False)
    _loops: leading.Alone = field(init=False)
    _executor: Executor | None = field(init=False)

    def begin(self) -> None:
        """Start the engine, as `berth start` does, without its web server."""
        given = {"home": str(self.home), "clock_factor": CLOCK_FACTOR}
        parts = build(load(given, environment={}, folder=self.home))
        beyond = loop_parts.kubernetes_executor(parts)
        self._executor = beyond
        term = store.begin_term(parts.ledger, parts.clock, "benchmark")
        self._loops = leading.Alone(lambda term: loop_parts.plans(parts, term, beyond=beyond), term)
        self.application = Application(parts, loops=self._loops.findings)
        self._loops.start()

    def end(self) -> None:
        """Stop the engine; what runs goes on."""
        self._loops.stop()
        if isinstance(self._executor, KubernetesExecutor):
            self._executor.close()
        self.application.close()

    def attempts(self, task: str = "") -> list[Attempt]:
        """Return every attempt, or those of a task, oldest first."""
        found = self.application.parts.ledger.select(ATTEMPTS, order_by="intended_at")
        return [each.value for each in found if task in {"", each.value.task}]

    def cut(self, name: str, *, off: bool) -> None:
        """Cut a cluster off, or let it answer again."""
        self.proxies[name].judge = (lambda *_: proxy.Fault.CUT) if off else proxy.calm
        if off:
            self.proxies[name].cut_all()

    def finish(self, attempt: Attempt) -> None:
        """Let the pod of an attempt end well."""
        for pod in self.pods(attempt):
            self.node.play(pod, process_kubelet.ended(0, message=_faults.WORD))

    def pods(self, attempt: Attempt) -> list[Document]:
        """Return the pods of an attempt that run."""
        place = self.places[attempt.cluster]
        path = f"/api/v1/namespaces/{place.namespace}/pods"
        return [
            each
            for each in place.admin.call("GET", path)["items"]
            if each["metadata"]["annotations"]["berth.dev/attempt-id"] == attempt.attempt_id
            and each["status"]["phase"] == "Running"
        ]


@contextlib.contextmanager
def harbour(made: plane.ControlPlane, node: ProcessKubelet, home: Path) -> Iterator[Harbour]:
    """Set up two clusters and the product, and put all of it away."""
    home.mkdir(parents=True)
    places = {name: _world.place(made) for name in NAMES}
    proxies = {name: proxy.FaultProxy(made, user=places[name].namespace) for name in NAMES}
    configs = []
    for name in NAMES:
        proxies[name].start()
        configs.append(
            certificates.kubeconfig(
                made.folder,
                f"https://127.0.0.1:{proxies[name].port}",
                places[name].namespace,
                context=name,
                namespace=places[name].namespace,
            )
        )
    certificates.write_kubeconfig(home / "kubeconfig", certificates.merged(configs))
    tables = "".join(f"[clusters.{name}]\ngrace_seconds = {GRACE_SECONDS}\n" for name in NAMES)
    text = f'kubeconfig = "kubeconfig"\nlisten = "127.0.0.1:0"\nstop_seconds = 5\n{tables}'
    (home / "kubernetes.toml").write_text(text, encoding="utf-8")
    world = Harbour(home, node, places, proxies)
    world.begin()
    try:
        yield world
    finally:
        world.end()
        for each in proxies.values():
            each.stop()


def until(holds: Callable[[], bool], seconds: float = WAIT_SECONDS) -> float:
    """Wait until something holds, at most so long; returns how long that took."""
    began = time.monotonic()
    while not holds() and time.monotonic() - began < seconds:
        time.sleep(0.2)
    return time.monotonic() - began


def partition(world: Harbour, name: str, *, restarts: bool) -> Iterator[frame.Figure]:
    """Cut off the cluster that runs two tasks, let one end there, heal, and look what counts.

    restarts: whether the engine is restarted while the cluster is away.
    """
    document = questions.Document(name="crossing.yaml", text=PIPELINE)
    answer = world.application.plan(questions.PlanQuestion(documents=(document,)))
    world.application.apply(answer.plan.plan_id)
    until(lambda: len(running(world)) == 2 and all(world.pods(each) for each in running(world)))
    first = running(world)
    if len({each.cluster for each in first}) != 1:
        raise frame.BenchmarkError(f"{name}: the plan put two like tasks on two clusters")
    lost = first[0].cluster
    world.cut(lost, off=True)
    began = time.monotonic()
    if restarts:
        time.sleep(GRACE_SECONDS / 2)
        world.end()
        world.begin()
        began = time.monotonic()
        yield frame.at_least(f"{name}: attempts kept over a restart", len(running(world)), 2)
    # One ends while nobody can see it: its result comes too late.
    late = next(each for each in first if each.task == "ends")
    world.finish(late)
    until(lambda: len(running(world, beside=lost)) == 2)
    moved = time.monotonic() - began
    yield frame.at_least(
        f"{name}: time before tasks were started elsewhere (grace {GRACE_SECONDS:g} s)",
        moved,
        GRACE_SECONDS,
        unit="s",
    )
    yield frame.at_least(f"{name}: tasks moved", len(running(world, beside=lost)), 2)
    world.cut(lost, off=False)
    stays = next(each for each in first if each.task == "stays")
    took = until(lambda: not world.pods(stays))
    yield frame.at_most(f"{name}: time until the loser is stopped", took, 60, unit="s")
    until(lambda: all(world.pods(each) for each in running(world, beside=lost)))
    for each in running(world, beside=lost):
        world.finish(each)
    until(lambda: len(succeeded(world)) == 2)
    done = succeeded(world)
    accepted = [each for each in done if each.cluster == lost]
    yield frame.at_least(f"{name}: tasks with one result", len({e.task for e in done}), 2)
    yield frame.at_most(f"{name}: results taken of attempts given up", len(accepted), 0)
    yield frame.at_most(f"{name}: attempts beyond two a task", len(world.attempts()) - 4, 0)


def running(world: Harbour, beside: str = "") -> list[Attempt]:
    """Return the attempts that run, but those of a cluster."""
    return [
        each
        for each in world.attempts()
        if each.state is AttemptState.RUNNING and each.cluster != beside
    ]


def succeeded(world: Harbour) -> list[Attempt]:
    """Return the attempts that succeeded."""
    return [each for each in world.attempts() if each.state is AttemptState.SUCCEEDED]
