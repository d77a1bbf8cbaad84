"""A watch loop whose detector, grouper and causes are scripted; the store is real."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from engine.model.alarms import (
    Action,
    ActionKind,
    Alarm,
    Cause,
    CauseKind,
    Event,
    Remedy,
    SuperAlarm,
)
from engine.model.errors import BerthError
from engine.model.identifiers import PipelineName, TaskName
from engine.model.records import ACTIONS, PIPELINES, SUPER_ALARMS, Put
from engine.model.signals import Signal
from engine.model.specs import PipelineSpec, RetrainPolicy, RetrainTrigger, TaskKind, TaskSpec
from engine.store import SqlLedger, begin_term, open_ledger
from engine.testing.clocks import ManualClock
from engine.testing.watch_suites import alarm as sample_alarm
from engine.testing.watch_suites import group as sample_group
from engine.watching import Watcher, WatchPolicy

DATA = Cause(
    kind=CauseKind.DATA,
    subject="feature:heart/chol",
    title="chol arrives in mmol/L",
    belief=0.9,
    settled=True,
    remedy=Remedy(description="read chol as mmol/L", parameters={"etl.unit.chol": "mmol/L"}),
)
LOST = Cause(
    kind=CauseKind.INFRASTRUCTURE,
    subject="cluster:c",
    title="cluster c failed",
    belief=0.9,
    settled=True,
)


class ScriptedSource:
    """Delivers what a test puts into `signals`; raises `error` once where one is set."""

    name = "scripted"

    def __init__(self) -> None:
        self.signals: list[Signal] = []
        self.error: BerthError | None = None

    def read(self, position: str) -> tuple[Sequence[Signal], str]:
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        return self.signals[int(position or "0") :], str(len(self.signals))


@dataclass
class ScriptedDetector:
    """Raises an alarm for every signal above 100, which makes its series abnormal.

    test: what raises it.
    """

    test: str = "scripted"
    seen: list[Signal] = field(default_factory=list)
    outside: dict[str, float] = field(default_factory=dict)

    def observe(self, signals: Sequence[Signal]) -> Sequence[Alarm]:
        self.seen += signals
        found: list[Alarm] = []
        for signal in signals:
            if signal.value > 100:
                self.outside.setdefault(signal.series, signal.at)
                found.append(dataclasses.replace(alarm_of(signal), test=self.test))
            else:
                self.outside.pop(signal.series, None)
        return found

    def abnormal(self) -> Mapping[str, float]:
        return self.outside


def alarm_of(signal: Signal) -> Alarm:
    base = sample_alarm(f"A-{signal.series}@{signal.at}", signal.at, **dict(signal.labels))
    return dataclasses.replace(
        base,
        series=signal.series,
        subject=signal.subject,
        signal=signal.name,
        layer=signal.layer,
        value=signal.value,
    )


class OneGroup:
    """Puts every alarm into one group; `pipelines` are those that it harms."""

    def __init__(self) -> None:
        self.pipelines: tuple[PipelineName, ...] = ()

    def group(
        self, open_groups: Sequence[SuperAlarm], alarms: Sequence[Alarm], now: float
    ) -> Sequence[SuperAlarm]:
        if not open_groups:
            name = f"SA-{alarms[0].at:g}"
            made = dataclasses.replace(sample_group(*alarms, name=name), updated_at=now)
            return [dataclasses.replace(made, pipelines=self.pipelines)]
        first = open_groups[0]
        return [dataclasses.replace(first, alarms=(*first.alarms, *alarms), updated_at=now)]


class ScriptedCauses:
    """Says what a test wants it to say."""

    def __init__(self) -> None:
        self.answer: tuple[Cause, ...] = (DATA,)
        self.events: Sequence[Event] = ()
        self.looks = 0

    def causes(
        self, group: SuperAlarm, signals: Sequence[Signal], events: Sequence[Event]
    ) -> Sequence[Cause]:
        self.events = events
        self.looks += 1
        return self.answer


class ListNotifier:
    """Keeps what it was told; raises `error` once where one is set."""

    def __init__(self) -> None:
        self.told: list[SuperAlarm] = []
        self.error: BerthError | None = None

    def notify(self, group: SuperAlarm) -> None:
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        self.told.append(group)


@dataclass
class World:
    """A watch loop and everything around it."""

    ledger: SqlLedger
    clock: ManualClock
    source: ScriptedSource
    detector: ScriptedDetector
    causes: ScriptedCauses
    notifier: ListNotifier
    policy: WatchPolicy
    grouper: OneGroup = field(default_factory=OneGroup)
    watcher: Watcher = field(init=False)

    def start(self, detector: ScriptedDetector | None = None) -> None:
        """Start a new loop with a new detector, as after a restart."""
        self.detector = detector or ScriptedDetector()
        self.watcher = Watcher(
            self.ledger,
            (self.source,),
            self.detector,
            self.grouper,
            self.causes,
            (self.notifier,),
            self.clock,
            self.policy,
            begin_term(self.ledger, self.clock, "test"),
        )

    def measure(self, value: float, signal: Callable[[float, float], Signal]) -> bool:
        """Let a second pass, deliver one value and take a step."""
        self.clock.advance(1.0)
        self.source.signals.append(signal(self.clock.now(), value))
        return self.watcher.step()

    def groups(self) -> list[SuperAlarm]:
        return [stored.value for stored in self.ledger.select(SUPER_ALARMS, order_by="updated_at")]

    def actions(self, kind: ActionKind) -> list[Action]:
        found = self.ledger.select(ACTIONS, where={"kind": kind.value}, order_by="wanted_at")
        return [stored.value for stored in found]

    def put(self, action: Action) -> None:
        self.ledger.commit("test", [Put(ACTIONS, action)])


def pipeline(**changes: object) -> PipelineSpec:
    policy = RetrainPolicy(triggers=(RetrainTrigger.DRIFT,), cool_down_seconds=60.0)
    return PipelineSpec(
        name=PipelineName("heart"),
        tasks=(TaskSpec(name=TaskName("etl"), kind=TaskKind.ETL),),
        retrain=dataclasses.replace(policy, **changes),
    )


def made_world() -> World:
    """Return a loop that has not taken a step, its pipeline stored."""
    ledger, clock = open_ledger("sqlite://"), ManualClock(1_000.0)
    made = World(
        ledger=ledger,
        clock=clock,
        source=ScriptedSource(),
        detector=ScriptedDetector(),
        causes=ScriptedCauses(),
        notifier=ListNotifier(),
        policy=WatchPolicy(quiet_seconds=5.0, decide_seconds=3.0, prune_seconds=1.0),
    )
    made.start()
    ledger.commit("test", [Put(PIPELINES, pipeline())])
    return made
