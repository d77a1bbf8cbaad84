"""What a person may have Berth do about the likely cause of a super-alarm, and asking for it.

The same actions as the watch loop asks for by policy, without its guards: a person decided. The
loop that owns an action carries it out.
"""

from __future__ import annotations

from engine.model.alarms import (
    Action,
    ActionKind,
    ActionState,
    Cause,
    CauseKind,
    SuperAlarm,
    SuperAlarmState,
)
from engine.model.errors import NotFoundError, RefusedError
from engine.model.identifiers import PipelineName
from engine.model.records import (
    ABSENT,
    ACTIONS,
    CLUSTER_HEALTH,
    DEPLOYMENTS,
    PIPELINES,
    SUPER_ALARMS,
    Put,
)
from engine.ports import Clock, Ledger
from engine.watching.guards import RETRAINABLE

_CHANGED = frozenset({CauseKind.CODE, CauseKind.CONFIGURATION})
_OPEN = frozenset({ActionState.WANTED, ActionState.STARTED})


def offered(ledger: Ledger, group: SuperAlarm) -> ActionKind | None:
    """Return what Berth can do about the likely cause; None for nothing, or where it does already.

    It moves what a cluster holds, trains a model again, or goes back to the model before.
    """
    cause = group.likely
    if cause is None or group.state is SuperAlarmState.RESOLVED:
        return None
    kind = _kind(ledger, cause)
    same = [action for action in _of(ledger, group, kind) if action.state in _OPEN]
    return None if same else kind


def ask(ledger: Ledger, clock: Clock, super_alarm_id: str, who: str = "somebody") -> Action:
    """Ask for what is offered about the likely cause of a super-alarm; return the action.

    Raises:
        NotFoundError: when there is none of that id.
        RefusedError: when nothing is offered.
        ConflictError: when somebody asked for the same at the same moment.
    """
    stored = ledger.get(SUPER_ALARMS, super_alarm_id)
    if stored is None:
        message = f"there is no super-alarm {super_alarm_id!r}"
        raise NotFoundError(message, fix="`berth alarms` lists them")
    group = stored.value
    kind, cause = offered(ledger, group), group.likely
    if kind is None or cause is None:
        message = f"there is nothing that Berth could do by itself about {super_alarm_id}, or it is"
        raise RefusedError(f"{message} under way", fix=f"berth alarms show {super_alarm_id}")
    count = len(_of(ledger, group, kind)) + 1
    action = Action(
        action_id=f"{super_alarm_id}.{kind.value.replace(' ', '-')}.by-hand.{count}",
        kind=kind,
        state=ActionState.WANTED,
        super_alarm_id=group.super_alarm_id,
        subject=cause.subject,
        policy=f"{who} asked for it: {cause.title}",
        wanted_at=clock.now(),
        pipeline=None if kind is ActionKind.REPLAN else _pipeline(cause),
        parameters={} if cause.remedy is None else dict(cause.remedy.parameters),
    )
    ledger.commit("watch.ask", [Put(ACTIONS, action, ABSENT)])
    return action


def _kind(ledger: Ledger, cause: Cause) -> ActionKind | None:
    """Return the action that would answer a cause, None where there is none."""
    if cause.kind is CauseKind.INFRASTRUCTURE:
        sort, _, name = cause.subject.partition(":")
        # Alerts of other systems name clusters that are none of the fleet.
        is_ours = sort == "cluster" and ledger.get(CLUSTER_HEALTH, name) is not None
        return ActionKind.REPLAN if is_ours else None
    pipeline = _pipeline(cause)
    if cause.kind in RETRAINABLE:
        return ActionKind.RETRAIN if ledger.get(PIPELINES, pipeline) else None
    if cause.kind in _CHANGED:
        deployment = ledger.get(DEPLOYMENTS, pipeline)
        is_there = deployment is not None and deployment.value.previous is not None
        return ActionKind.ROLL_BACK if is_there else None
    return None


def _of(ledger: Ledger, group: SuperAlarm, kind: ActionKind | None) -> list[Action]:
    """Return the actions of a kind for a super-alarm."""
    if kind is None:
        return []
    found = ledger.select(ACTIONS, where={"kind": kind.value}, order_by="wanted_at")
    names = {group.super_alarm_id, *group.aliases}
    return [each.value for each in found if each.value.super_alarm_id in names]


def _pipeline(cause: Cause) -> PipelineName:
    return PipelineName(cause.subject.partition(":")[2].partition("/")[0])
