"""Actions that are held against guards: how they are written, and what they would cost."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from engine.model.alarms import Action, ActionKind, ActionState, Cause, Guard, SuperAlarm
from engine.model.identifiers import FREE, MicroDollars, PipelineName
from engine.model.records import ABSENT, ACTIONS, PLANS, RUNS, Put
from engine.ports import Ledger
from engine.watching.desk import Desk


def wanted(kind: ActionKind, group: SuperAlarm, cause: Cause, action_id: str, now: float) -> Action:
    """Return an action that answers the cause of a super-alarm, without its guards."""
    return Action(
        action_id=action_id,
        kind=kind,
        state=ActionState.WANTED,
        super_alarm_id=group.super_alarm_id,
        subject=cause.subject,
        policy=f"{cause.title}; belief {cause.belief:.2f}",
        wanted_at=now,
    )


def guarded(action: Action, found: Sequence[Guard]) -> Action:
    """Return an action with its guards: wanted when all of them allow it, held back otherwise."""
    names = [guard.name for guard in found if not guard.allows]
    return dataclasses.replace(
        action,
        state=ActionState.HELD if names else ActionState.WANTED,
        guards=tuple(found),
        result=f"held back by: {', '.join(names)}" if names else action.result,
    )


def ask(desk: Desk, action: Action) -> bool:
    """Write a new action, or a held one whose guards came out otherwise."""
    name = f"watch.{action.kind.value.replace(' ', '-')}"
    known = desk.ledger.get(ACTIONS, action.action_id)
    if known is None:
        return desk.commit(name, Put(ACTIONS, action, ABSENT))
    if known.value.state is not ActionState.HELD:
        return False
    before = {guard.name: guard.allows for guard in known.value.guards}
    if before == {guard.name: guard.allows for guard in action.guards}:
        return False
    return desk.commit(name, Put(ACTIONS, action, known.version))


def expected_cost(ledger: Ledger, pipeline: PipelineName) -> MicroDollars:
    """Return the expected cost of a run, as its newest plan says; free without one."""
    newest = ledger.select(
        RUNS, where={"pipeline": pipeline}, order_by="created_at", descending=True, limit=1
    )
    plan = ledger.get(PLANS, newest[0].value.plan_id) if newest else None
    if plan is None:
        return FREE
    promises = [p for p in plan.value.placement.promises if p.pipeline == pipeline]
    return promises[0].run_cost_micro_dollars if promises else FREE
