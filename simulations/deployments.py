"""What pipelines serve, in the store as dispatching leaves it: models, servers and their swaps.

Only changes from outside are written here (a new image, or one set back by people). Roll-backs
that the engine asks for are carried out by dispatching's own code, with a server that swaps at
once. A fault of an image passes on to those that are made after it, until it is set back.
"""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from enum import Enum, auto

from engine.dispatching import acting, deployments
from engine.dispatching.desk import Desk
from engine.model.alarms import Action, ActionKind, ActionState, Event
from engine.model.dispatches import (
    Attempt,
    AttemptState,
    Deployment,
    Run,
    RunCause,
    RunState,
    TaskRun,
    TaskState,
)
from engine.model.identifiers import (
    AttemptId,
    ClusterName,
    Digest,
    PipelineName,
    PlanId,
    RunId,
    TaskName,
)
from engine.model.records import ACTIONS, ATTEMPTS, DEPLOYMENTS, RUNS, TASK_RUNS, Put, Write
from engine.model.resources import Resources
from engine.model.specs import TaskKind
from engine.testing import samples

PACKAGE, SERVE = TaskName("package"), TaskName("serve")


class Effect(Enum):
    """What a change does to what is served."""

    BREAKS = auto()
    SETS_BACK = auto()
    NOTHING = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change of a pipeline, as people read of it, and what it does."""

    event: Event
    effect: Effect


@dataclass(frozen=True, slots=True, kw_only=True)
class RollBack:
    """A roll-back that was carried out. is_right: whether it ended a fault of what was served."""

    pipeline: str
    at: float
    is_right: bool


class Served:
    """The models of some pipelines on their clusters."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._broken: set[Digest] = set()
        self._runs = 0

    def begin(self, pipeline: str, cluster: str) -> None:
        """Let a pipeline serve its first model, on a server that answers."""
        now = self._desk.clock.now()
        run_id, digest, writes = self._made(pipeline, now)
        attempt = Attempt(
            attempt_id=AttemptId(f"{run_id}.serve.1"),
            run_id=run_id,
            pipeline=PipelineName(pipeline),
            task=SERVE,
            number=1,
            executor="local",
            cluster=ClusterName(cluster),
            pool=samples.POOL,
            held=Resources(),
            state=AttemptState.RUNNING,
            intended_at=now,
            fence=self._desk.term.number,
            endpoint=f"simulated://{pipeline}",
            started_at=now,
        )
        first = Deployment(
            pipeline=attempt.pipeline,
            task=SERVE,
            run_id=run_id,
            wanted=digest,
            attempt_id=attempt.attempt_id,
            endpoint=attempt.endpoint,
        ).swapped(digest, now)
        self._desk.commit(
            "simulation.serve", Put(ATTEMPTS, attempt), *writes, Put(DEPLOYMENTS, first)
        )

    def change(self, pipeline: str, change: Change) -> None:
        """Serve a new image: a broken one, one without the fault, or one as good as the last."""
        stored = self._desk.ledger.get(DEPLOYMENTS, pipeline)
        if stored is None:
            raise LookupError(f"nothing serves {pipeline!r}")
        former, at = stored.value, change.event.at
        run_id, digest, writes = self._made(pipeline, at)
        is_passed_on = change.effect is Effect.NOTHING and self.is_broken(pipeline)
        if change.effect is Effect.BREAKS or is_passed_on:
            self._broken.add(digest)
        swapped = dataclasses.replace(former.swapped(digest, at), run_id=run_id, wanted=digest)
        self._desk.commit("simulation.swap", Put(DEPLOYMENTS, swapped, stored.version), *writes)

    def is_broken(self, pipeline: str) -> bool:
        """Return whether what a pipeline serves has a fault."""
        stored = self._desk.ledger.get(DEPLOYMENTS, pipeline)
        return stored is not None and stored.value.serving in self._broken

    def carry_out(self) -> list[RollBack]:
        """Have dispatching do what is asked of it; return the roll-backs that are done now."""
        asked = self._open()
        was_broken = {str(one.pipeline): self.is_broken(str(one.pipeline)) for one in asked}
        fleet = self._desk.fleet_source.fleet()
        while acting.act(self._desk) or deployments.reconcile(
            self._desk, fleet, self._desk.live_attempts()
        ):
            pass
        found: list[RollBack] = []
        for one in asked:
            stored = self._desk.ledger.get(ACTIONS, one.action_id)
            if stored is not None and stored.value.state is ActionState.DONE:
                name = str(one.pipeline)
                is_right = was_broken[name] and not self.is_broken(name)
                found.append(RollBack(pipeline=name, at=self._desk.clock.now(), is_right=is_right))
        return found

    def _open(self) -> list[Action]:
        where = {"kind": ActionKind.ROLL_BACK.value, "state": ActionState.WANTED.value}
        return [each.value for each in self._desk.ledger.select(ACTIONS, where=where)]

    def _made(self, pipeline: str, at: float) -> tuple[RunId, Digest, list[Write]]:
        """Return a run that packaged another image and serves it, with what is to be written."""
        self._runs += 1
        run_id = RunId(f"r-{self._runs}")
        digest = Digest(f"sha256:{hashlib.sha256(run_id.encode()).hexdigest()}")
        run = Run(
            run_id=run_id,
            pipeline=PipelineName(pipeline),
            plan_id=PlanId(""),
            cause=RunCause.SUBMITTED,
            state=RunState.ACTIVE,
            created_at=at,
        )
        package = TaskRun(
            run_id=run_id,
            pipeline=run.pipeline,
            task=PACKAGE,
            kind=TaskKind.PACKAGE,
            state=TaskState.SUCCEEDED,
            outputs={"digest": digest},
            started_at=at,
            ended_at=at,
        )
        serve = dataclasses.replace(
            package,
            task=SERVE,
            kind=TaskKind.SERVE,
            state=TaskState.RUNNING,
            outputs={},
            ended_at=None,
        )
        return run_id, digest, [Put(RUNS, run), Put(TASK_RUNS, package), Put(TASK_RUNS, serve)]
