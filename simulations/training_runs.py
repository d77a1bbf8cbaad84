"""Training runs that go wrong, through the watch loop: what is stopped and what is run again.

Runs are submitted, alarmed about, stopped and retried by the product's own code; drawn are only
what a training tells of each of its batches, one in a window, and how it ends.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from alarms.detection.detector import StatisticalDetector
from alarms.grouping.super_alarms import SuperAlarmGrouper
from alarms.rootcause.tree import HypothesisTree
from engine.dispatching import acting
from engine.dispatching.desk import Desk
from engine.dispatching.signals import PlanSignals
from engine.dispatching.submission import submit
from engine.model.alarms import Action, ActionKind, ActionState
from engine.model.dispatches import Reason, Run, RunState, TaskRun, TaskState
from engine.model.fleet import Fleet
from engine.model.identifiers import PipelineName, TaskName
from engine.model.plans import Plan
from engine.model.profiles import Quantiles
from engine.model.records import ACTIONS, RUNS, TASK_RUNS, Put, Stored, task_run_key
from engine.model.signals import Layer, Signal
from engine.model.specs import PipelineSpec, RetrainPolicy, RetrainTrigger, TaskKind, TaskSpec
from engine.store import begin_term
from engine.testing import samples
from engine.testing.clocks import ManualClock
from engine.testing.fakes import InstantModelServer, MemoryArtifacts
from engine.testing.world import FixedConditions
from engine.watching import Watcher, WatchPolicy
from simulations.causes import Queue
from simulations.ledger import MemoryLedger

START = 1_790_035_200.0
WINDOW_SECONDS = 60.0
FIRST_BATCHES, BATCHES = 40, 120
PAUSE_WINDOWS = 30
WINDOWS = 340
"""Long enough for the longest training to be stopped, run again, and end."""
TRAIN = TaskName("train")
FAULTS = ("diverges", "by heart", "passing fall", "wrong rate", "missing data", "nothing")
LASTING = frozenset({"diverges", "by heart"})
"""Faults for which a training is stopped for good reason."""
CHANGED = frozenset({"diverges", "wrong rate"})
"""Faults that are a change of the learning rate: the run is well with the one before."""
FAILS_AT = 2
LASTS = Quantiles(p50=7_200.0, p80=7_800.0, p90=8_400.0, p95=9_000.0, p99=10_800.0)
GOOD_RATE, WRONG_RATE = 0.1, 10.0


@dataclass(slots=True, kw_only=True)
class Trainer:
    """A pipeline that trained well once and trains again, with a fault.

    falls_at: batch at which precision begins to fall, by `loss` within `ramp` batches;
    passes_after: batches after which it is over. batch: the next one of the run.
    vain: batches of the run from the begin of a lasting fall on.
    is_cured: whether the run was started again with the parameter that was changed set back.
    """

    name: str
    fault: str
    random: np.random.Generator
    falls_at: int
    ramp: int
    passes_after: int
    loss: float
    batch: int = 0
    vain: int = 0
    run: str = ""
    is_first: bool = True
    is_cured: bool = False

    def fallen(self) -> float:
        """Return how much of its precision is lost at this batch."""
        since = self.batch - self.falls_at
        is_over = self.fault == "passing fall" and since >= self.passes_after
        falls = self.fault in {*LASTING, "passing fall"} and not self.is_cured
        if self.is_first or since < 0 or is_over or not falls:
            return 0.0
        return self.loss * min(1.0, (since + 1) / self.ramp)

    def tell(self, at: float) -> Iterator[Signal]:
        """Yield what the training says of a batch."""
        learned = min(1.0, self.batch / 20)
        lost = self.fallen()
        falling = 0.3 * 0.98 ** max(0, self.batch - 20)
        rising = 4.0 * lost if self.fault in {"diverges", "passing fall"} else 0.0
        labels = {"pipeline": self.name, "task": TRAIN, "run": self.run}
        values = {
            "precision": 0.5 + 0.4 * learned - lost + 0.01 * float(self.random.normal()),
            "loss": 0.7 * (1 - learned) + falling + rising + 0.01 * abs(self.random.normal()),
        }
        for name, value in values.items():
            yield Signal(
                name=name,
                layer=Layer.TRAINING,
                subject=f"model:{self.name}/net",
                at=at,
                value=float(value),
                labels=labels,
            )
        self.vain += lost > 0 and self.fault in LASTING
        self.batch += 1

    def spec(self) -> PipelineSpec:
        """Return what is submitted: the first time, or with the change that is the fault."""
        changed = not self.is_first and self.fault in CHANGED
        rate = WRONG_RATE if changed else GOOD_RATE
        task = TaskSpec(name=TRAIN, kind=TaskKind.TRAIN, parameters={"learning_rate": rate})
        return PipelineSpec(
            name=PipelineName(self.name),
            tasks=(task,),
            retrain=RetrainPolicy(triggers=(RetrainTrigger.DRIFT, RetrainTrigger.QUALITY)),
        )

    def begin(self, run: Run) -> None:
        """Begin a run, or begin it again."""
        self.batch = 0
        is_set_back = run.parameters.get(f"{TRAIN}.learning_rate") == GOOD_RATE
        self.is_cured = is_set_back and self.fault in CHANGED

    def fails(self) -> bool:
        """Return whether a run fails at its next batch."""
        if self.is_first or self.batch < FAILS_AT or self.is_cured:
            return False
        return self.fault in {"missing data", "wrong rate"}


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingOutcome:
    """What the engine made of some trainings. succeeded: pipelines whose last run did."""

    trainers: tuple[Trainer, ...]
    actions: tuple[Action, ...]
    succeeded: frozenset[str]

    def done(self, kind: ActionKind) -> list[Action]:
        """Return the actions of a kind that guards let through and that were carried out."""
        return [
            action
            for action in self.actions
            if action.kind is kind
            and action.state is ActionState.DONE
            and all(guard.allows for guard in action.guards)
        ]


class TrainingWorld:
    """One pipeline with each fault, window by window; settings are the product's defaults."""

    def __init__(self, seed: int) -> None:
        self.trainers = [
            drawn(f"t{number}", fault, np.random.default_rng([seed, 51, number]))
            for number, fault in enumerate(FAULTS)
        ]
        self._clock = ManualClock(START)
        self._ledger = MemoryLedger()
        self._queue = Queue()
        self._fleet = samples.fleet("a")
        term = begin_term(self._ledger, self._clock, "simulation")
        self._desk = Desk(
            ledger=self._ledger,
            executors={},
            artifacts=MemoryArtifacts(self._clock),
            servers=InstantModelServer(),
            conditions=FixedConditions(),
            fleet_source=samples.FixedFleet(self._fleet),
            clock=self._clock,
            term=term,
        )
        plan_signals = PlanSignals(self._ledger, self._clock, window_seconds=WINDOW_SECONDS)
        self._watcher = Watcher(
            ledger=self._ledger,
            sources=(self._queue, plan_signals),
            detector=StatisticalDetector(),
            grouper=SuperAlarmGrouper(),
            cause_finder=HypothesisTree(),
            notifiers=(),
            clock=self._clock,
            policy=WatchPolicy(),
            term=term,
        )

    def run(self) -> TrainingOutcome:
        """Play all windows."""
        for window in range(WINDOWS):
            for number, one in enumerate(self.trainers):
                # They begin one after the other, so that what they say is told apart by time, too.
                self._step(one, window - 7 * number)
            self._watcher.step()
            while acting.act(self._desk):
                pass
            self._clock.advance(WINDOW_SECONDS)
        runs = [self._ledger.get(RUNS, one.run) for one in self.trainers]
        return TrainingOutcome(
            trainers=tuple(self.trainers),
            actions=tuple(s.value for s in self._ledger.select(ACTIONS, order_by="wanted_at")),
            succeeded=frozenset(
                one.value.pipeline
                for one in runs
                if one is not None and one.value.state is RunState.SUCCEEDED
            ),
        )

    def _step(self, one: Trainer, window: int) -> None:
        if window in {0, FIRST_BATCHES + PAUSE_WINDOWS}:
            one.is_first, one.batch = window == 0, 0
            plan = _plan(one.spec(), self._fleet, self._clock.now())
            one.run = submit(self._ledger, self._clock, plan, one.name).run_id
        run = self._ledger.get(RUNS, one.run)
        task = self._ledger.get(TASK_RUNS, task_run_key(one.run, TRAIN))
        if run is None or task is None or run.value.state is not RunState.ACTIVE:
            return
        if task.value.state is TaskState.WAITING:
            one.begin(run.value)
            self._becomes(task, TaskState.RUNNING)
        elif task.value.state is TaskState.FAILED:
            self._ends(run, RunState.FAILED)
        elif one.fails():
            self._becomes(task, TaskState.FAILED, Reason.EXIT_CODE)
            self._ends(run, RunState.FAILED)
        elif one.batch >= (FIRST_BATCHES if one.is_first else BATCHES):
            self._becomes(task, TaskState.SUCCEEDED)
            self._ends(run, RunState.SUCCEEDED)
        else:
            self._queue.signals += one.tell(self._clock.now())

    def _becomes(
        self, task: Stored[TaskRun], state: TaskState, reason: Reason = Reason.NONE
    ) -> None:
        now = self._clock.now()
        after = dataclasses.replace(
            task.value,
            state=state,
            reason=reason,
            started_at=task.value.started_at if state.is_terminal else now,
            ended_at=now if state.is_terminal else None,
        )
        self._ledger.commit("simulation.task", [Put(TASK_RUNS, after, task.version)])

    def _ends(self, run: Stored[Run], state: RunState) -> None:
        after = dataclasses.replace(run.value, state=state, ended_at=self._clock.now())
        self._ledger.commit("simulation.run", [Put(RUNS, after, run.version)])


def _plan(spec: PipelineSpec, fleet: Fleet, at: float) -> Plan:
    """Return a plan that knows how long such trainings take."""
    plan = samples.plan(spec, fleet, as_of=at)
    profiles = {
        name: dataclasses.replace(profile, duration_seconds=LASTS)
        for name, profile in plan.profiles.items()
    }
    return dataclasses.replace(plan, profiles=profiles)


def drawn(name: str, fault: str, random: np.random.Generator) -> Trainer:
    """Return a training whose fall is drawn."""
    return Trainer(
        name=name,
        fault=fault,
        random=random,
        falls_at=int(random.integers(30, 70)),
        ramp=int(random.integers(5, 25)) if fault in LASTING else 1,
        passes_after=int(random.integers(4, 10)),
        loss=float(random.uniform(0.15, 0.5)),
    )
