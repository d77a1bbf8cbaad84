"""What every part of a step has at hand: the ports, the fence, and views of the store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from engine import fence
from engine.dispatching.ladder import Ladder
from engine.dispatching.turns import Turns
from engine.model.dispatches import Attempt, AttemptState, Run, TaskRun
from engine.model.errors import DamagedError
from engine.model.identifiers import AttemptId, PlanId, RunId, TaskName
from engine.model.plans import Plan
from engine.model.records import (
    ATTEMPTS,
    PLANS,
    RUNS,
    TASK_RUNS,
    Stored,
    Term,
    Write,
    task_run_key,
)
from engine.model.remedies import Retry
from engine.model.specs import PipelineSpec, TaskKind
from engine.ports import (
    ArtifactStore,
    Clock,
    Conditions,
    Executor,
    FleetSource,
    Ledger,
    ModelServer,
    RemedyChooser,
)

_PLANS_KEPT = 256
_VIEWS_AT_ONCE = 100
_TASKS_MOST = 1_000_000
LIVE = tuple(state.value for state in AttemptState if not state.is_terminal)
"""States of attempts that are not over."""
HOLDING = tuple(state.value for state in AttemptState if state.holds_room)
"""States of attempts that hold capacity."""


@dataclass(slots=True)
class RunView:
    """A run with its plan, spec and tasks, kept up to date while a step goes through it."""

    run: Run
    version: int
    plan: Plan
    spec: PipelineSpec
    tasks: dict[TaskName, Stored[TaskRun]]


@dataclass(frozen=True, slots=True)
class Desk:
    """The ports of dispatching, and the term under which it writes.

    executors: by the name that clusters call them. remedies: what follows failed attempts.
    """

    ledger: Ledger
    executors: Mapping[str, Executor]
    artifacts: ArtifactStore
    servers: ModelServer
    conditions: Conditions
    fleet_source: FleetSource
    clock: Clock
    term: Term
    remedies: RemedyChooser = field(default_factory=Ladder)
    runs_kept_seconds: float = 14.0 * 86_400.0
    """For how long what a run left stays, from its start; that of the newest stays longer."""
    plans: dict[PlanId, Plan] = field(default_factory=dict, init=False, repr=False)
    """Plans read already; a plan never changes, and reading one takes milliseconds."""
    unseen: dict[AttemptId, float] = field(default_factory=dict, init=False, repr=False)
    """Attempts whose executor has no news of them, with the monotonic instant since when.

    A grace period counts from what this engine saw itself. What is stored may be from before a
    restart, in which a cluster came back and went again.
    """
    gone: dict[str, float] = field(default_factory=dict, init=False, repr=False)
    """Clusters that do not answer or left the fleet, since which monotonic instant; as `unseen`."""

    turns: Turns = field(default_factory=Turns, init=False, repr=False)
    """Whose start is the next on each cluster; known anew after a restart."""

    retries: list[list[Retry]] = field(default_factory=list, init=False, repr=False)
    """Past retries, once they were read (one list), kept up to date as attempts end."""

    cleared: list[float] = field(default_factory=list, init=False, repr=False)
    """The monotonic instant at which old runs were last cleared, once they were."""

    def commit(self, name: str, *writes: Write) -> bool:
        """Write all or nothing under the term; as `engine.fence.commit`."""
        return fence.commit(self.ledger, self.term, name, writes)

    def plan(self, run: Run) -> Plan:
        """Return the plan in force of a run.

        Raises:
            DamagedError: when it is not stored.
        """
        if run.plan_id not in self.plans:
            plan = stored_plan(self.ledger, run)
            if len(self.plans) >= _PLANS_KEPT:
                self.plans.clear()
            self.plans[run.plan_id] = plan
        return self.plans[run.plan_id]

    def view(self, stored: Stored[Run]) -> RunView:
        """Return a run with its plan, spec and tasks."""
        where = {"run_id": stored.value.run_id}
        tasks = self.ledger.select(TASK_RUNS, where=where, limit=_TASKS_MOST)
        return self._view(stored, {task.value.task: task for task in tasks})

    def _view(self, stored: Stored[Run], tasks: dict[TaskName, Stored[TaskRun]]) -> RunView:
        run = stored.value
        plan = self.plan(run)
        return RunView(
            run=run,
            version=stored.version,
            plan=plan,
            spec=spec_of(plan, run.pipeline),
            tasks=tasks,
        )

    def views(self, runs: Sequence[Stored[Run]]) -> Iterator[RunView]:
        """Yield runs with their plans, specs and tasks.

        Many at a time are read together; those with a server, which other runs of their pipeline
        change too, alone when it is their turn.
        """
        for first in range(0, len(runs), _VIEWS_AT_ONCE):
            some = runs[first : first + _VIEWS_AT_ONCE]
            where = {"run_id": [each.value.run_id for each in some]}
            tasks: dict[RunId, dict[TaskName, Stored[TaskRun]]] = {}
            for task in self.ledger.select(TASK_RUNS, where=where, limit=_TASKS_MOST):
                tasks.setdefault(task.value.run_id, {})[task.value.task] = task
            for stored in some:
                found = tasks.get(stored.value.run_id, {})
                if any(each.value.kind is TaskKind.SERVE for each in found.values()):
                    yield self.view(stored)
                else:
                    yield self._view(stored, found)

    def run(self, run_id: str) -> Stored[Run] | None:
        """Return a run, or None."""
        return self.ledger.get(RUNS, run_id)

    def task_run(self, run_id: str, task: str) -> Stored[TaskRun] | None:
        """Return one task of a run, or None."""
        return self.ledger.get(TASK_RUNS, task_run_key(run_id, task))

    def live_attempts(self) -> dict[AttemptId, Stored[Attempt]]:
        """Return the attempts that are not over, oldest first."""
        found = self.ledger.select(
            ATTEMPTS, where={"state": LIVE}, order_by="intended_at", limit=_TASKS_MOST
        )
        return {stored.value.attempt_id: stored for stored in found}

    def attempts_of(self, run_id: str, task: str) -> tuple[Attempt, ...]:
        """Return all attempts of a task of a run, oldest first."""
        found = self.ledger.select(ATTEMPTS, where={"run_id": run_id}, order_by="intended_at")
        return tuple(stored.value for stored in found if stored.value.task == task)


def stored_plan(ledger: Ledger, run: Run) -> Plan:
    """Read the plan in force of a run.

    Raises:
        DamagedError: when it is not stored.
    """
    stored = ledger.get(PLANS, run.plan_id)
    if stored is None:
        message = f"run {run.run_id!r} names plan {run.plan_id!r}, which is not stored"
        raise DamagedError(message, fix="restore the data folder from a backup")
    return stored.value


def spec_of(plan: Plan, pipeline: str) -> PipelineSpec:
    """Return the spec of a pipeline as the plan was made for it; `KeyError` without one."""
    for spec in plan.request.pipelines:
        if spec.name == pipeline:
            return spec
    raise KeyError(pipeline)
