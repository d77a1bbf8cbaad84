"""Alarms, super-alarms, causes with their evidence, and what is done about them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from engine.model.checks import Check, Checked
from engine.model.identifiers import FREE, MicroDollars, PipelineName, PlanId, RunId, SuperAlarmId
from engine.model.signals import Layer
from engine.model.specs import Scalar


class Severity(StrEnum):
    """How much people are harmed; the order is that of harm."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0 for info, 2 for critical."""
        return list(Severity).index(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """A signal outside what is normal, with the test that says so.

    statistic, p_value: of `test`; expected_low, expected_high: the band that would have been
        normal; value: what was seen.
    rule: name of the expert rule that raised, lowered or confirmed it; "" without one.
    raised_at: when Berth raised it, where that was long after `at`: what was measured may be told
        late, as after an outage; 0 otherwise.
    vetoed: by which expert rule, whose it is and why; it stands in no super-alarm then.
    """

    alarm_id: str
    series: str
    subject: str
    signal: str
    layer: Layer
    at: float
    value: float
    unit: str
    test: str
    statistic: float
    p_value: float
    expected_low: float
    expected_high: float
    severity: Severity
    labels: Mapping[str, str] = field(default_factory=dict)
    rule: str = ""
    message: str = ""
    raised_at: float = 0.0
    vetoed: str = ""

    @property
    def known_at(self) -> float:
        """Since when Berth knows of it."""
        return max(self.at, self.raised_at)


class CauseKind(StrEnum):
    """What sort of thing went wrong; only data and model causes may lead to retraining."""

    DATA = "data"
    MODEL = "model"
    CODE = "code"
    CONFIGURATION = "configuration"
    INFRASTRUCTURE = "infrastructure"
    DEMAND = "demand"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Remedy:
    """What would put it right: parameters for a new run, with what they mean.

    parameters: `TASK.NAME` to value, as in `Run.parameters`.
    """

    description: str
    parameters: Mapping[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """One hypothesis, with its share of belief and what speaks for and against it.

    subject: what is at fault (`cluster:eu-1`, `feature:heart/chol`).
    settle: what would settle it, as a command or an action a person can take.
    settled: whether it is so, where Berth could find out: true, false, or None where it could not.
    check: the look by which Berth can find out; None where only a person can.
    checked: how that came out; None before.
    """

    kind: CauseKind
    subject: str
    title: str
    belief: float
    evidence_for: tuple[str, ...] = ()
    evidence_against: tuple[str, ...] = ()
    settle: str = ""
    settled: bool | None = None
    remedy: Remedy | None = None
    check: Check | None = None
    checked: Checked | None = None


class SuperAlarmState(StrEnum):
    """Where a super-alarm stands."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    SILENCED = "silenced"
    RESOLVED = "resolved"


_ENDINGS: Mapping[int, str] = MappingProxyType({1: "st", 2: "nd", 3: "rd"})
_TEENS = frozenset({11, 12, 13})


@dataclass(frozen=True, slots=True, kw_only=True)
class Coming:
    """One earlier time that a super-alarm came, until it was over by itself.

    alarms: the first ones of it; count: how many it held. likely: the cause that was likely in the
    end; None where none was found.
    """

    opened_at: float
    ended_at: float
    count: int
    alarms: tuple[Alarm, ...]
    likely: Cause | None = None


def coming_id_of(super_alarm_id: SuperAlarmId, times: int) -> str:
    """Return what tells one time that a super-alarm came from the others."""
    return super_alarm_id if times == 1 else f"{super_alarm_id}.{times}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SuperAlarm:
    """Alarms that are one event.

    One that came again has its id, its owner and its notes from before; everything else is of the
    newest time that it came, which is judged as another super-alarm would be.

    super_alarm_id: belongs to the earliest alarm and stays as the group grows.
    aliases: ids of groups merged into this one.
    because: why these alarms are one.
    growing: whether an alarm joined since the last look.
    pipelines: those that are or may be harmed.
    silenced_by: the silence that covers all its alarms; "" without one.
    split_from: the group that it was split off from; then only its own series join it.
    merged_into: the group that a person merged it into; "" where the grouping did, or nobody.
    regrouped_at: when a person merged it or split it off; 0 where nobody did.
    acknowledged_until: when it calls people again unless it is over; None while nobody has it.
    owner: who has it.
    checks: what Berth looked at itself, oldest first; one for each kind and subject.
    act_above: the belief in its likely cause that policy wants before Berth acts; 0: not known.
    normal_at: when it closed by itself, since every signal was normal; None while it is open, and
        where a person or another super-alarm closed it.
    times: how often it came, this time included; earlier: the newest times before this one.
    reopened_at: when it came again, by the engine's clock; 0 for one that came once.
    """

    super_alarm_id: SuperAlarmId
    title: str
    severity: Severity
    state: SuperAlarmState
    opened_at: float
    updated_at: float
    alarms: tuple[Alarm, ...]
    causes: tuple[Cause, ...] = ()
    because: tuple[str, ...] = ()
    pipelines: tuple[PipelineName, ...] = ()
    aliases: tuple[SuperAlarmId, ...] = ()
    silenced_until: float | None = None
    silenced_by: str = ""
    split_from: str = ""
    merged_into: str = ""
    regrouped_at: float = 0.0
    acknowledged_until: float | None = None
    owner: str = ""
    note: str = ""
    checks: tuple[Checked, ...] = ()
    act_above: float = 0.0
    normal_at: float | None = None
    times: int = 1
    reopened_at: float = 0.0
    earlier: tuple[Coming, ...] = ()

    @property
    def coming_id(self) -> str:
        """What tells this time that it came from those before: its id, with the number."""
        return coming_id_of(self.super_alarm_id, self.times)

    @property
    def past(self) -> tuple[SuperAlarm, ...]:
        """The earlier times that are kept, oldest first, each as a super-alarm that is over."""
        first = self.times - len(self.earlier)
        return tuple(
            dataclasses.replace(
                self,
                state=SuperAlarmState.RESOLVED,
                opened_at=coming.opened_at,
                updated_at=coming.ended_at,
                normal_at=coming.ended_at,
                alarms=coming.alarms,
                causes=() if coming.likely is None else (coming.likely,),
                checks=(),
                times=number,
                earlier=self.earlier[: number - first],
            )
            for number, coming in enumerate(self.earlier, first)
        )

    @property
    def again(self) -> str:
        """In words that it came again: `came again, 3rd time`; "" for one that came once."""
        if self.times == 1:
            return ""
        ending = "th" if self.times % 100 in _TEENS else _ENDINGS.get(self.times % 10, "th")
        return f"came again, {self.times}{ending} time"

    @property
    def known_alarms(self) -> tuple[Alarm, ...]:
        """Its alarms, and those that are kept of earlier times."""
        return (*(alarm for coming in self.earlier for alarm in coming.alarms), *self.alarms)

    @property
    def likely(self) -> Cause | None:
        """The cause with the largest belief, or None before causes were looked for."""
        return self.causes[0] if self.causes else None


LEFT = "left"
"""Parameter of a roll-back: the digest of the model that it leaves; none where a person asked."""
BACK = "back"
"""The digest of the model that it goes back to; the one before where a person asked."""
SINCE = "since"
"""When that model was left, in seconds: when the deployment came that is undone."""


class ActionKind(StrEnum):
    """What the watch loop may ask for; the loop that owns the action carries it out."""

    NOTIFY = "notify"
    REPLAN = "re-plan"
    RETRY = "retry"
    STOP = "stop"
    ROLL_BACK = "roll back"
    RETRAIN = "retrain"
    RESIZE = "resize"
    """Asked for by the sizing of services, not by watching."""


class ActionState(StrEnum):
    """Where an action stands."""

    WANTED = "wanted"
    HELD = "held back by a guard"
    STARTED = "started"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """One bound that an action was held against, and how it came out."""

    name: str
    """`cool-down`, `budget per day`, `times per day`, `cause kind`."""
    allows: bool
    needs: float | str
    has: float | str
    unit: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """A decision of the watch loop, with the policy and guards behind it.

    parameters: of a retrain, the remedy's; subject: what it acts on.
    result: what came of it, for people; run_id and plan_id link to it.
    """

    action_id: str
    kind: ActionKind
    state: ActionState
    super_alarm_id: SuperAlarmId
    subject: str
    policy: str
    wanted_at: float
    pipeline: PipelineName | None = None
    guards: tuple[Guard, ...] = ()
    parameters: Mapping[str, Scalar] = field(default_factory=dict)
    cost_micro_dollars: MicroDollars = FREE
    ended_at: float | None = None
    run_id: RunId | None = None
    plan_id: PlanId | None = None
    result: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """Whether a model has drifted so that a training would be worth it.

    is_found: by a test that bounds false findings over all models; found_at: when, in seconds;
    p_value: of that test; message: what was seen.
    """

    is_found: bool
    found_at: float = 0.0
    p_value: float = 1.0
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that changed, kept so that causes can be looked for in what changed before.

    kind: `deployment`, `plan`, `run`, `cluster`, `schema`, `person`.
    """

    event_id: str
    at: float
    kind: str
    subject: str
    message: str
    labels: Mapping[str, str] = field(default_factory=dict)
