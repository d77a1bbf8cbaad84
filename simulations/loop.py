"""The whole watch loop over several pipelines with faults: what is believed and what is done.

Product code throughout: detector with drift triggers, grouper, cause finder, checks, guards and
policy, `Watcher`, and the store in memory; only signals and what machines answer to checks are
drawn, and the clock is virtual. Retrainings and re-plans that are asked for are carried out some
windows later, roll-backs by dispatching's own code at once, so that the loop closes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from alarms.detection.detector import StatisticalDetector
from alarms.detection.drifting import DriftDetector, watch_settings
from alarms.detection.settings import DetectionSettings
from alarms.grouping.super_alarms import GroupingSettings, SuperAlarmGrouper
from alarms.rootcause.tree import CauseSettings, HypothesisTree
from engine.dispatching.desk import Desk
from engine.model.alarms import Action, ActionKind, ActionState, Alarm, SuperAlarm
from engine.model.identifiers import PipelineName, RunId, TaskName
from engine.model.records import ACTIONS, ALARMS, EVENTS, PIPELINES, SUPER_ALARMS, Put, Term
from engine.model.signals import Layer, Shape, Signal
from engine.model.specs import PipelineSpec, RetrainPolicy, RetrainTrigger, TaskKind, TaskSpec
from engine.store import begin_term
from engine.testing import samples
from engine.testing.clocks import ManualClock
from engine.testing.fakes import InstantModelServer, MemoryArtifacts
from engine.testing.world import FixedConditions
from engine.watching import Watcher, WatchPolicy
from engine.watching import desk as watch_desk
from engine.watching.checking import Checking
from simulations import faults, pipelines
from simulations.causes import Queue
from simulations.checks import WorldChecks
from simulations.deployments import RollBack, Served
from simulations.ledger import MemoryLedger
from simulations.pipelines import WINDOW_SECONDS, Pipeline

Draw = Callable[[np.random.Generator, int], list[faults.Fault]]
"""Returns the faults of so many pipelines."""
START = 1_790_035_200.0
PIPELINES_OF_A_WORLD = 4
TRAINING_WINDOWS = 12
REPLAN_WINDOWS = 4
CLOCK_FACTOR = 60.0 / WINDOW_SECONDS
"""The product's settings are made for windows of a minute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What the engine made of one world."""

    pipelines: tuple[Pipeline, ...]
    groups: tuple[SuperAlarm, ...]
    actions: tuple[Action, ...]
    alarms: tuple[Alarm, ...]
    roll_backs: tuple[RollBack, ...]

    @property
    def retrains(self) -> tuple[Action, ...]:
        """Retrainings that were asked for."""
        return tuple(
            action
            for action in self.actions
            if action.kind is ActionKind.RETRAIN and action.run_id is not None
        )


class World:
    """Some pipelines and their clusters, window by window."""

    def __init__(self, seed: int, faults_of: Draw = faults.drawn) -> None:
        random = np.random.default_rng([seed, 31])
        drawn = faults_of(random, PIPELINES_OF_A_WORLD)
        self._clusters = [f"cluster-{number}" for number in range(PIPELINES_OF_A_WORLD)]
        self.pipelines = [
            pipelines.drawn(
                f"p{number}",
                self._clusters[number],
                fault,
                np.random.default_rng([seed, 32, number]),
            )
            for number, fault in enumerate(drawn)
        ]
        self._random = np.random.default_rng([seed, 33])
        self._clock = ManualClock(START)
        self._ledger = MemoryLedger()
        self._queue = Queue()
        self._due: dict[str, int] = {}
        self._down: set[str] = set()
        specs = [Put(PIPELINES, _spec(one.name)) for one in self.pipelines]
        self._ledger.commit("simulation.pipelines", specs)
        term = begin_term(self._ledger, self._clock, "simulation")
        self._served = Served(self._desk(term))
        self.roll_backs: list[RollBack] = []
        for one in self.pipelines:
            self._served.begin(one.name, one.cluster)
        self._watcher = Watcher(
            ledger=self._ledger,
            sources=(self._queue,),
            detector=DriftDetector(StatisticalDetector(_detection()), watch_settings()),
            grouper=SuperAlarmGrouper(GroupingSettings().scaled(CLOCK_FACTOR)),
            cause_finder=HypothesisTree(CauseSettings()),
            notifiers=(),
            clock=self._clock,
            policy=_policy(),
            term=term,
        )
        self._checking = Checking(
            watch_desk.Desk(self._ledger, self._clock, _policy(), term),
            WorldChecks(
                self._ledger,
                self._clock,
                np.random.default_rng([seed, 34]),
                clock_factor=CLOCK_FACTOR,
                is_lost=self._down.__contains__,
                failing=self._failing,
            ),
        )

    def _failing(self, pipeline: str) -> float:
        """Return the part of a pipeline's requests that the image that serves lets fail."""
        (one,) = (each for each in self.pipelines if each.name == pipeline)
        return one.fault.share if one.is_broken else 0.0

    def _desk(self, term: Term) -> Desk:
        """Return what dispatching works with: servers that swap at once, nothing to start."""
        return Desk(
            ledger=self._ledger,
            executors={},
            artifacts=MemoryArtifacts(self._clock),
            servers=InstantModelServer(),
            conditions=FixedConditions(),
            fleet_source=samples.FixedFleet(samples.fleet(*self._clusters)),
            clock=self._clock,
            term=term,
        )

    def run(self) -> Outcome:
        """Play all windows."""
        for window in range(faults.WINDOWS):
            self._step(window)
            self._clock.advance(WINDOW_SECONDS)
        groups = self._ledger.select(SUPER_ALARMS, order_by="updated_at")
        actions = self._ledger.select(ACTIONS, order_by="wanted_at")
        alarms = self._ledger.select(ALARMS, order_by="at")
        return Outcome(
            pipelines=tuple(self.pipelines),
            groups=tuple(stored.value for stored in groups),
            actions=tuple(stored.value for stored in actions),
            alarms=tuple(stored.value for stored in alarms),
            roll_backs=tuple(self.roll_backs),
        )

    def _step(self, window: int) -> None:
        now = self._clock.now()
        self._down.clear()
        self._down |= {
            one.cluster
            for one in self.pipelines
            if one.fault.name == "lost cluster" and one.fault.part(window) > 0
        }
        found = self._machines(now)
        for one in self.pipelines:
            if window == 0:
                found += one.references(now)
            self._change(one, window)
            if one.cluster not in self._down or one.is_cured:
                found += one.window(window, now)
            elif window == one.fault.begins:
                found.append(_killed(one, now))
        self._queue.signals += found
        self._watcher.step()
        while self._checking.step():
            pass
        self._carry_out(window)
        self.roll_backs += self._served.carry_out()

    def _change(self, one: Pipeline, window: int) -> None:
        """Let changes of a pipeline happen, oldest first."""
        changes = sorted(one.changes(window, self._clock.now()), key=lambda each: each.event.at)
        for each in changes:
            self._ledger.commit("simulation.event", [Put(EVENTS, each.event)])
            if each.event.kind == "deployment":
                self._served.change(one.name, each)
        one.is_broken = self._served.is_broken(one.name)

    def _machines(self, now: float) -> list[Signal]:
        return [
            Signal(
                name="reachable",
                layer=Layer.MACHINE,
                subject=f"cluster:{name}",
                at=now,
                value=float(name not in self._down),
                labels={"cluster": name},
            )
            for name in self._clusters
        ]

    def _carry_out(self, window: int) -> None:
        """Do what was asked for, some windows later."""
        for stored in self._ledger.select(ACTIONS, where={"state": ActionState.WANTED.value}):
            action = stored.value
            if action.kind not in {ActionKind.RETRAIN, ActionKind.REPLAN}:
                continue
            is_training = action.kind is ActionKind.RETRAIN
            due = self._due.setdefault(
                action.action_id, window + (TRAINING_WINDOWS if is_training else REPLAN_WINDOWS)
            )
            if window < due:
                continue
            for one in self.pipelines:
                if is_training and one.name == action.pipeline:
                    self._train(one, action, window)
                elif f"cluster:{one.cluster}" == action.subject:
                    one.is_cured = True
            done = dataclasses.replace(
                action,
                state=ActionState.DONE,
                ended_at=self._clock.now() + 1.0,
                run_id=RunId(f"r-{action.action_id}"),
            )
            self._ledger.commit("simulation.done", [Put(ACTIONS, done, stored.version)])

    def _train(self, one: Pipeline, action: Action, window: int) -> None:
        """Let a training learn what arrives now; units only where it reads them right."""
        fault = one.fault
        if window < fault.begins or one.is_cured or not helps(one, action):
            return
        one.is_cured = True
        if fault.name == "population":
            one.shifted = 6.0 * fault.loss
            one.reference_shift = one.shifted
        self._queue.signals += one.references(self._clock.now() + 2.0)


def helps(one: Pipeline, action: Action) -> bool:
    """Return whether a retraining cures the fault of its pipeline."""
    if one.fault.name == "unit":
        return action.parameters.get(one.unit) == one.columns[0][3]
    return one.fault.name in faults.CURED


def play(seeds: Sequence[int], faults_of: Draw = faults.drawn) -> list[Outcome]:
    """Play a world for each seed, with the faults that are drawn for it."""
    return [World(seed, faults_of).run() for seed in seeds]


def _detection() -> DetectionSettings:
    """Return the product's settings of detection for such windows, in a day of real length."""
    scaled = DetectionSettings().scaled(CLOCK_FACTOR)
    return dataclasses.replace(scaled, season_seconds=86_400.0, silence_seconds=3.0)


def _policy() -> WatchPolicy:
    """Return the product's policy for such windows; old signals are removed twice a day."""
    scaled = WatchPolicy().scaled(CLOCK_FACTOR)
    return dataclasses.replace(scaled, prune_seconds=72 * WINDOW_SECONDS)


def _spec(name: str) -> PipelineSpec:
    return PipelineSpec(
        name=PipelineName(name),
        tasks=(TaskSpec(name=TaskName("etl"), kind=TaskKind.ETL),),
        retrain=RetrainPolicy(triggers=(RetrainTrigger.DRIFT, RetrainTrigger.QUALITY)),
    )


def _killed(one: Pipeline, now: float) -> Signal:
    return Signal(
        name="exit_killed",
        layer=Layer.MACHINE,
        subject=f"task:{one.name}/serve",
        at=now,
        value=1.0,
        shape=Shape.COUNT,
        labels={"pipeline": one.name, "cluster": one.cluster},
    )
