"""Replays faults against the real watch loop: are their causes told apart?

Signals of a served model over real records, the store in memory, the real detection, grouping,
cause finding and `Watcher`; only the clock is virtual. What the engine asks for is carried out:
a retraining makes the server convert, a re-plan moves it, so that the loop closes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from alarms.detection.detector import StatisticalDetector
from alarms.detection.settings import DetectionSettings
from alarms.grouping.super_alarms import GroupingSettings, SuperAlarmGrouper
from alarms.rootcause.tree import HypothesisTree
from engine.model.alarms import Action, ActionKind, ActionState, SuperAlarm, SuperAlarmState
from engine.model.identifiers import PipelineName, TaskName
from engine.model.records import ACTIONS, PIPELINES, SUPER_ALARMS, Put
from engine.model.signals import Signal
from engine.model.specs import PipelineSpec, RetrainPolicy, RetrainTrigger, TaskKind, TaskSpec
from engine.ports import Ledger
from engine.store import begin_term
from engine.testing.clocks import ManualClock
from engine.watching import Watcher, WatchPolicy
from simulations.ledger import MemoryLedger
from simulations.records import Records
from simulations.service import CLUSTERS, PIPELINE, Machines, Service, Traffic, killed

START = 1_790_000_000.0
RETRAIN_WINDOWS = 15
REPLAN_WINDOWS = 4
TRAINED_TASKS = ("knn", "tree", "forest", "svm")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What happens in one replay. Times count in windows from the start.

    factors, lost: columns that arrive multiplied, or not at all, from `fault_at` on.
    cluster: that fails at `fault_at`, "" for none; the model is served from `serving`.
    training_at: when a training on `training` begins; it takes 12 windows.
    restart_at: when the engine is killed and started again, its memory lost; None for never.
    """

    seed: int
    traffic: Traffic
    serving: str
    windows: int = 240
    window_seconds: float = 1.0
    fault_at: int = 120
    factors: tuple[tuple[str, float], ...] = ()
    lost: tuple[str, ...] = ()
    cluster: str = ""
    load: float = 1.0
    training: str = ""
    training_at: int = -1
    restart_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What the engine made of it."""

    scenario: Scenario
    groups: tuple[SuperAlarm, ...]
    actions: tuple[Action, ...]

    @property
    def fault_time(self) -> float:
        """When the fault began."""
        return START + self.scenario.fault_at * self.scenario.window_seconds

    @property
    def early(self) -> tuple[SuperAlarm, ...]:
        """Super-alarms opened before the fault: false ones."""
        return tuple(group for group in self.groups if group.opened_at < self.fault_time)

    @property
    def retrains(self) -> tuple[Action, ...]:
        """Retrainings that were asked for."""
        return self._asked(ActionKind.RETRAIN)

    @property
    def replans(self) -> tuple[Action, ...]:
        """Re-plans that were asked for."""
        return self._asked(ActionKind.REPLAN)

    @property
    def delay_windows(self) -> float | None:
        """Windows from the fault to the first super-alarm after it, None without one."""
        times = [g.opened_at for g in self.groups if g.opened_at >= self.fault_time]
        if not times:
            return None
        return (min(times) - self.fault_time) / self.scenario.window_seconds

    @property
    def is_closed(self) -> bool:
        """Whether every super-alarm was closed in the end."""
        return all(group.state is SuperAlarmState.RESOLVED for group in self.groups)

    def _asked(self, kind: ActionKind) -> tuple[Action, ...]:
        return tuple(
            action
            for action in self.actions
            if action.kind is kind and action.state is not ActionState.HELD
        )


class Queue:
    """Signals that wait to be read; the position is their number. Port `SignalSource`."""

    name = "replay"

    def __init__(self) -> None:
        self.signals: list[Signal] = []

    def read(self, position: str) -> tuple[Sequence[Signal], str]:
        """Return everything after the position."""
        start = int(position or "0")
        return self.signals[start:], str(len(self.signals))


def policy(scenario: Scenario) -> WatchPolicy:
    """Return the policy of the replay: the default for a clock of such windows."""
    return WatchPolicy().scaled(60.0 / scenario.window_seconds)


def spec() -> PipelineSpec:
    """Return the pipeline that asks to be trained again."""
    return PipelineSpec(
        name=PipelineName(PIPELINE),
        tasks=(TaskSpec(name=TaskName("etl"), kind=TaskKind.ETL),),
        retrain=RetrainPolicy(
            triggers=(RetrainTrigger.DRIFT, RetrainTrigger.QUALITY), quality_below=0.7
        ),
    )


class Replay:
    """One scenario, window by window."""

    def __init__(self, scenario: Scenario, records: Records) -> None:
        self._scenario = scenario
        self._clock = ManualClock(START)
        self._ledger: Ledger = MemoryLedger()
        self._queue = Queue()
        self._service = Service(records, scenario.traffic, scenario.seed)
        self._machines = Machines(scenario.seed + 1)
        self._serving = scenario.serving
        self._converted: frozenset[str] = frozenset()
        self._due: dict[str, int] = {}
        self._ledger.commit("simulation.pipeline", [Put(PIPELINES, spec())])
        self._watcher = self._engine()

    def _engine(self) -> Watcher:
        """Return a watch loop without memory, as after a restart."""
        factor = 60.0 / self._scenario.window_seconds
        return Watcher(
            ledger=self._ledger,
            sources=(self._queue,),
            detector=StatisticalDetector(DetectionSettings().scaled(factor)),
            grouper=SuperAlarmGrouper(GroupingSettings().scaled(factor / 6)),
            cause_finder=HypothesisTree(),
            notifiers=(),
            clock=self._clock,
            policy=policy(self._scenario),
            term=begin_term(self._ledger, self._clock, "simulation"),
        )

    def run(self) -> Outcome:
        """Play all windows and return what the engine made of them."""
        for number in range(self._scenario.windows):
            if number == self._scenario.restart_at:
                self._watcher = self._engine()
            now = START + number * self._scenario.window_seconds
            self._queue.signals += self._measured(number, now)
            self._watcher.step()
            self._carry_out(number)
            self._clock.advance(self._scenario.window_seconds)
        groups = self._ledger.select(SUPER_ALARMS, order_by="updated_at")
        actions = self._ledger.select(ACTIONS, order_by="wanted_at")
        return Outcome(
            scenario=self._scenario,
            groups=tuple(stored.value for stored in groups),
            actions=tuple(stored.value for stored in actions),
        )

    def _measured(self, number: int, now: float) -> list[Signal]:
        """Return all signals of one window, in order of time."""
        scenario = self._scenario
        is_faulty = number >= scenario.fault_at
        down = frozenset({scenario.cluster} if is_faulty and scenario.cluster else ())
        is_training = scenario.training_at <= number < scenario.training_at + 12
        busy = {self._serving: 1}
        if is_training and scenario.training not in down:
            busy[scenario.training] = busy.get(scenario.training, 0) + len(TRAINED_TASKS)
        found = self._machines.window(now, down, busy)
        if number == 0:
            found += self._service.references(now, scenario.serving)
        if number == scenario.fault_at and scenario.cluster:
            found += self._lost(now, is_training=is_training)
        if self._serving not in down:
            factors = [f for f in scenario.factors if f[0] not in self._converted]
            found += self._service.window(
                now,
                self._serving,
                factors=factors if is_faulty else (),
                lost=scenario.lost if is_faulty else (),
                load=scenario.load if is_faulty else 1.0,
            )
        return sorted(found, key=lambda signal: signal.at)

    def _lost(self, now: float, *, is_training: bool) -> list[Signal]:
        """Return a signal for each task that was killed with the cluster."""
        cluster = self._scenario.cluster
        tasks: list[str] = []
        if is_training and self._scenario.training == cluster:
            tasks += TRAINED_TASKS
        if cluster == self._serving:
            tasks.append("serve")
        return [killed(now, task, cluster) for task in tasks]

    def _carry_out(self, number: int) -> None:
        """Do what was asked for, some windows later, as planning and dispatching would."""
        for stored in self._ledger.select(ACTIONS, where={"state": ActionState.WANTED.value}):
            action = stored.value
            is_retrain = action.kind is ActionKind.RETRAIN
            due = self._due.setdefault(
                action.action_id, number + (RETRAIN_WINDOWS if is_retrain else REPLAN_WINDOWS)
            )
            if number < due:
                continue
            if is_retrain:
                prefix = "etl.unit."
                units = {name for name in action.parameters if name.startswith(prefix)}
                self._converted |= {name.removeprefix(prefix) for name in units}
            else:
                others = (name for name in CLUSTERS if name != self._scenario.cluster)
                self._serving = next(others)
            done = dataclasses.replace(action, state=ActionState.DONE, ended_at=self._clock.now())
            self._ledger.commit("simulation.done", [Put(ACTIONS, done, stored.version)])


def varied(seed: int, *, windows: int = 240) -> Scenario:
    """Return a scenario without a fault whose circumstances follow from the seed."""
    random = np.random.default_rng(10_000 + seed)
    names = list(CLUSTERS)
    serving = names[int(random.integers(len(names)))]
    fault_at = int(random.integers(80, 140))
    return Scenario(
        seed=seed,
        windows=windows,
        serving=serving,
        fault_at=fault_at,
        traffic=Traffic(
            rows_per_window=float(random.choice([8, 12, 20, 40, 80])),
            noise=float(random.choice([0.02, 0.1, 0.25])),
            in_order=bool(random.integers(2)),
            label_share=float(random.choice([0.3, 0.6, 0.9])),
        ),
        training=names[int(random.integers(len(names)))],
        training_at=fault_at - int(random.integers(1, 12)) if random.integers(2) else -1,
        restart_at=int(random.integers(20, windows - 20)) if random.integers(2) else None,
    )


def unit_fault(seed: int, column: str = "chol", factor: float = 1 / 38.67) -> Scenario:
    """Return a scenario in which a column arrives in another unit."""
    return dataclasses.replace(varied(seed), factors=((column, factor),))


def cluster_fault(seed: int) -> Scenario:
    """Return a scenario in which a cluster fails: any one that serves or trains."""
    base = varied(seed)
    random = np.random.default_rng(20_000 + seed)
    used = [base.serving]
    if base.training_at >= 0:
        used.append(base.training)
    return dataclasses.replace(base, cluster=used[int(random.integers(len(used)))])


def replay(scenario: Scenario, records: Records) -> Outcome:
    """Play a scenario and return what the engine made of it."""
    return Replay(scenario, records).run()


def spare(seed: int) -> str:
    """Return a cluster that does not serve, for a second fault beside the first."""
    serving = varied(seed).serving
    return next(name for name in CLUSTERS if name != serving)
