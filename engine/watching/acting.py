"""The third part of a step: what is done about a super-alarm, as actions in the store.

Ids of actions follow from the super-alarm and from what is asked, so that no crash and no
repeated step asks twice. `re-plan` and `retrain` are carried out by `engine.planning`; what is
mended without a new model stands in `mending`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from engine.model import deciding, documents
from engine.model.alarms import (
    Action,
    ActionKind,
    ActionState,
    Cause,
    CauseKind,
    SuperAlarm,
)
from engine.model.identifiers import PipelineName
from engine.model.records import (
    ABSENT,
    ACTIONS,
    CLUSTER_HEALTH,
    PIPELINES,
    SUPER_ALARMS,
    Put,
    Stored,
)
from engine.model.signals import Layer, Signal
from engine.ports import Detector, DriftWatch
from engine.watching import guards, wishes
from engine.watching.desk import Desk
from engine.watching.guards import Request
from engine.watching.judging import OPEN_STATES
from engine.watching.mending import Mending
from engine.watching.recent import Recent


class Acting:
    """Asks for what would answer the likely cause of each open super-alarm."""

    def __init__(
        self, desk: Desk, detector: Detector, recent: Recent, drift: DriftWatch | None = None
    ) -> None:
        self._drift = drift
        self._desk = desk
        self._detector = detector
        self._recent = recent
        self._mending = Mending(desk, recent)

    def step(self) -> bool:
        """Ask for what each open super-alarm needs; return whether anything was asked."""
        found = self._desk.ledger.select(
            SUPER_ALARMS, where={"state": OPEN_STATES}, order_by="updated_at"
        )
        groups = sorted(
            (stored.value for stored in found), key=lambda g: (g.opened_at, g.super_alarm_id)
        )
        changed = False
        for group in groups:
            changed |= self._act(group)
        return self._drop(actions_held(self._desk), groups) or changed

    def _act(self, group: SuperAlarm) -> bool:
        cause = group.likely
        policy = self._desk.policy
        if cause is None or cause.settled is False:
            return False
        if deciding.believed(group, cause) < policy.act_above:
            return False
        if cause.settled is not True and not self._lasts(group):
            return False
        stopped = self._mending.stop(group, cause, self._detector.abnormal())
        retried = self._mending.retry(group, cause)
        if retried is not None:
            # The run that failed brings the new model, once it has the remedy.
            return stopped or retried
        return self._answered(group, cause) or stopped

    def _answered(self, group: SuperAlarm, cause: Cause) -> bool:
        """Ask for what answers a kind of cause."""
        policy = self._desk.policy
        if cause.kind is CauseKind.INFRASTRUCTURE:
            # What stands on a node is moved by its cluster; only clusters are planned around.
            is_cluster = cause.subject.startswith("cluster:")
            return policy.replan and is_cluster and self._replan(group, cause)
        if cause.kind in guards.RETRAINABLE and _is_of_serving(group):
            return policy.retrain and self._retrain(group, cause)
        return self._mending.roll_back(group, cause)

    def _lasts(self, group: SuperAlarm) -> bool:
        """Whether a series of the group has been abnormal for long enough to decide."""
        abnormal = self._detector.abnormal()
        since = min(abnormal.get(alarm.series, math.inf) for alarm in group.alarms)
        return self._desk.clock.now() - since >= self._desk.policy.decide_seconds

    # Re-plan

    def _replan(self, group: SuperAlarm, cause: Cause) -> bool:
        """Ask to move what a lost cluster held, once for every time it is lost."""
        if not self._is_ours(cause.subject):
            return False
        replans = self._desk.ledger.select(
            ACTIONS, where={"kind": ActionKind.REPLAN.value}, order_by="wanted_at"
        )
        past = [stored.value for stored in replans if stored.value.subject == cause.subject]
        if self._answers(cause.subject) or (past and not self._is_new(cause.subject, past[-1])):
            return False
        action = Action(
            action_id=f"{group.super_alarm_id}.replan.{_name(cause.subject)}.{len(past) + 1}",
            kind=ActionKind.REPLAN,
            state=ActionState.WANTED,
            super_alarm_id=group.super_alarm_id,
            subject=cause.subject,
            policy=f"re-plan around a lost cluster; belief {cause.belief:.2f}",
            wanted_at=self._desk.clock.now(),
        )
        return self._desk.commit("watch.replan", Put(ACTIONS, action, ABSENT))

    def _reachability(self, cluster: str) -> list[Signal]:
        return self._recent.of(f"{cluster}|reachable")

    def _is_ours(self, cluster: str) -> bool:
        """Whether a cluster is one of the fleet: alerts of other systems name others as well."""
        known = self._desk.ledger.get(CLUSTER_HEALTH, _name(cluster))
        return known is not None or bool(self._reachability(cluster))

    def _answers(self, cluster: str) -> bool:
        """Whether the newest that is known of a cluster is that it answers."""
        known = self._reachability(cluster)
        return bool(known) and known[-1].value == 1 and not self._is_down(cluster)

    def _is_down(self, cluster: str) -> bool:
        health = self._desk.ledger.get(CLUSTER_HEALTH, _name(cluster))
        return health is not None and not health.value.reachable

    def _is_new(self, cluster: str, last: Action) -> bool:
        """Whether the world changed since a re-plan: the cluster was back, or it failed then."""
        if last.state is ActionState.FAILED and last.ended_at is not None:
            healths = self._desk.ledger.select(CLUSTER_HEALTH)
            return any(stored.value.since > last.ended_at for stored in healths)
        return any(
            signal.value == 1 and signal.at > last.wanted_at
            for signal in self._reachability(cluster)
        )

    # Retrain

    def _retrain(self, group: SuperAlarm, cause: Cause) -> bool:
        """Ask for a retraining, or note which guard holds it back."""
        pipeline = PipelineName(_name(cause.subject).partition("/")[0])
        stored = self._desk.ledger.get(PIPELINES, pipeline)
        if stored is None or stored.value.retrain is None:
            return False
        parameters = {} if cause.remedy is None else dict(cause.remedy.parameters)
        ask = documents.letters(documents.encode(parameters), 4)
        retrain = stored.value.retrain
        cool_down = retrain.cool_down_seconds / self._desk.policy.clock_factor
        wish = f"{group.coming_id}.retrain.{pipeline}.{ask}"
        action_id, known = self._newest(group, wish, cool_down)
        if known is not None and known.value.state is not ActionState.HELD:
            return False
        request = Request(
            policy=dataclasses.replace(retrain, cool_down_seconds=cool_down),
            cause=cause,
            now=self._desk.clock.now(),
            day_seconds=self._desk.policy.day_seconds,
            past=self._past(pipeline, action_id),
            quality=_worst_quality(group, pipeline),
            cost_micro_dollars=wishes.expected_cost(self._desk.ledger, pipeline),
            drift=None if self._drift is None else self._drift.drifts(pipeline),
            is_drift_watched=self._drift is not None,
        )
        action = dataclasses.replace(
            wishes.wanted(ActionKind.RETRAIN, group, cause, action_id, request.now),
            pipeline=pipeline,
            parameters=parameters,
            cost_micro_dollars=request.cost_micro_dollars,
        )
        return wishes.ask(self._desk, wishes.guarded(action, guards.guards(request)))

    def _newest(
        self, group: SuperAlarm, wish: str, cool_down_seconds: float
    ) -> tuple[str, Stored[Action] | None]:
        """Return the id of a wish to retrain, and what is known of it.

        A model that was trained again and lost its quality anew, while its super-alarm is still
        open, makes a new wish: `WISH.2` and so on.
        """
        action_id, number = wish, 1
        known = self._desk.ledger.get(ACTIONS, wish)
        # It ends at the first wish that is not there or not carried out.
        while known is not None and _is_lost_again(group, known.value, cool_down_seconds):
            number += 1
            action_id = f"{wish}.{number}"
            known = self._desk.ledger.get(ACTIONS, action_id)
        return action_id, known

    def _past(self, pipeline: PipelineName, action_id: str) -> list[Action]:
        where = {"kind": ActionKind.RETRAIN.value, "pipeline": pipeline}
        found = self._desk.ledger.select(ACTIONS, where=where, order_by="wanted_at")
        return [stored.value for stored in found if stored.value.action_id != action_id]

    def _drop(self, held: Sequence[Stored[Action]], groups: Sequence[SuperAlarm]) -> bool:
        """Close actions that a guard held back until their super-alarm was over."""
        since = {group.super_alarm_id: group.reopened_at for group in groups}
        changed = False
        for stored in held:
            if stored.value.wanted_at >= since.get(stored.value.super_alarm_id, math.inf):
                continue
            ended = dataclasses.replace(
                stored.value,
                state=ActionState.DONE,
                ended_at=self._desk.clock.now(),
                result="not needed any more: the super-alarm is closed",
            )
            changed |= self._desk.commit("watch.drop", Put(ACTIONS, ended, stored.version))
        return changed


def actions_held(desk: Desk) -> Sequence[Stored[Action]]:
    """Return the actions that a guard holds back."""
    return desk.ledger.select(
        ACTIONS, where={"state": ActionState.HELD.value}, order_by="wanted_at"
    )


def _name(subject: str) -> str:
    return subject.partition(":")[2]


def _is_of_serving(group: SuperAlarm) -> bool:
    """Whether more than a training or a plan is alarmed: another training like it cures neither."""
    return any(alarm.layer not in {Layer.TRAINING, Layer.PLAN} for alarm in group.alarms)


def _worst_quality(group: SuperAlarm, pipeline: PipelineName) -> float | None:
    """Return the lowest quality that an alarm of the group saw of a pipeline's model."""
    seen = [
        alarm.value
        for alarm in group.alarms
        if alarm.signal == "quality" and alarm.labels.get("pipeline", pipeline) == pipeline
    ]
    return min(seen, default=None)


def _is_lost_again(group: SuperAlarm, action: Action, cool_down_seconds: float) -> bool:
    """Whether quality was alarmed about after a retraining had its time to cure it."""
    if action.state is not ActionState.DONE or action.ended_at is None:
        return False
    since = action.ended_at + cool_down_seconds
    return any(alarm.signal == "quality" and alarm.at > since for alarm in group.alarms)
