"""A whole small world in memory, in which engines can be started, crashed and started again."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from engine.dispatching import Dispatcher, submit
from engine.model.dispatches import Attempt, AttemptOrder, Deployment, Run, TaskRun, TaskState
from engine.model.errors import FinalError
from engine.model.fleet import Fleet
from engine.model.records import ATTEMPTS, DEPLOYMENTS, RUNS, TASK_RUNS, task_run_key
from engine.model.specs import PipelineSpec
from engine.store import begin_term, open_ledger
from engine.testing import samples
from engine.testing.clocks import ManualClock
from engine.testing.crash import (
    CrashingLedger,
    CrashingModelServer,
    CrashPoints,
    crashing,
)
from engine.testing.fakes import (
    InstantExecutor,
    InstantModelServer,
    MemoryArtifacts,
    Outcome,
    succeed,
)

STEPS_MAX = 400


class FixedConditions:
    """Conditions that hold as a test says, by their text; others fail (port `Conditions`).

    asked: the values that were given, by expression.
    """

    def __init__(self, answers: Mapping[str, bool] | None = None) -> None:
        self.asked: dict[str, Mapping[str, object]] = {}
        self._answers = {"true": True, "false": False, **(answers or {})}

    def holds(self, expression: str, values: Mapping[str, object]) -> bool:
        """Return the answer for an expression."""
        self.asked[expression] = values
        if expression not in self._answers:
            raise FinalError(f"{expression!r} cannot be evaluated")
        return self._answers[expression]


class World:
    """What outlives an engine: store, clock, clusters, and what runs on them.

    behave: what attempts come to.
    """

    def __init__(
        self,
        clusters: Fleet | None = None,
        behave: Callable[[AttemptOrder], Outcome] = succeed,
    ) -> None:
        self.ledger = open_ledger("sqlite://")
        self.clock = ManualClock(1_000.0)
        self.clusters = samples.FixedFleet(clusters or samples.fleet("a", "b"))
        self.executor = InstantExecutor(self.clock, behave)
        self.artifacts = MemoryArtifacts(self.clock)
        self.servers = InstantModelServer()
        self.conditions = FixedConditions()

    def close(self) -> None:
        """Close the store."""
        self.ledger.close()

    def engine(self, points: CrashPoints | None = None) -> Dispatcher:
        """Return a dispatcher with a new term, which ends that of every earlier one."""
        passed = points or CrashPoints()
        return Dispatcher(
            CrashingLedger(self.ledger, passed),
            {"local": crashing(self.executor, passed)},
            self.artifacts,
            CrashingModelServer(self.servers, passed),
            self.conditions,
            self.clusters,
            self.clock,
            begin_term(self.ledger, self.clock, "test"),
        )

    def submit(self, spec: PipelineSpec, places: Mapping[str, str] | None = None) -> Run:
        """Plan a pipeline on all clusters in turn, and submit it."""
        plan = samples.plan(spec, self.clusters.clusters, places)
        return submit(self.ledger, self.clock, plan, spec.name)

    def settle(self, dispatcher: Dispatcher, seconds: float = 1.0) -> None:
        """Step until a step changes nothing and no task pauses before its next attempt.

        So many seconds pass between steps.
        """
        steps = 0
        while dispatcher.step() or self._pauses():
            self.clock.advance(seconds)
            steps += 1
            assert steps < STEPS_MAX, "the world does not come to rest"

    def _pauses(self) -> bool:
        waiting = self.ledger.select(TASK_RUNS, where={"state": TaskState.WAITING.value})
        return any((task.value.not_before or 0.0) > self.clock.now() for task in waiting)

    def fail(self, cluster: str) -> None:
        """Let a cluster fail: what runs there is killed, and it does not answer."""
        self.clusters.down.add(cluster)
        self.executor.fail(cluster)

    def hide(self, cluster: str) -> None:
        """Cut a cluster off: what runs there goes on unseen."""
        self.clusters.down.add(cluster)
        self.executor.hide(cluster)

    def restore(self, cluster: str) -> None:
        """Let a cluster answer again."""
        self.clusters.down.discard(cluster)
        self.executor.restore(cluster)

    def run(self, run_id: str) -> Run:
        """Return a run."""
        stored = self.ledger.get(RUNS, run_id)
        assert stored is not None
        return stored.value

    def task(self, run_id: str, task: str) -> TaskRun:
        """Return one task of a run."""
        stored = self.ledger.get(TASK_RUNS, task_run_key(run_id, task))
        assert stored is not None
        return stored.value

    def attempt(self, attempt_id: str) -> Attempt:
        """Return an attempt."""
        stored = self.ledger.get(ATTEMPTS, attempt_id)
        assert stored is not None
        return stored.value

    def deployment(self, pipeline: str = "heart") -> Deployment:
        """Return what a pipeline serves."""
        stored = self.ledger.get(DEPLOYMENTS, pipeline)
        assert stored is not None
        return stored.value
