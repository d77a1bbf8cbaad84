"""What is mended without a new model: trainings stopped, runs retried, deployments rolled back.

Asked for as actions in the store, with every guard and its outcome; `engine.dispatching` carries
them out. Ids follow from the super-alarm and from what is asked, so nothing is asked for twice.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping

from engine.model import documents
from engine.model.alarms import (
    BACK,
    LEFT,
    SINCE,
    Action,
    ActionKind,
    Alarm,
    Cause,
    CauseKind,
    Guard,
    SuperAlarm,
)
from engine.model.dispatches import Deployment, Run, RunState, TaskState
from engine.model.identifiers import PipelineName
from engine.model.records import (
    ACTIONS,
    DEPLOYMENTS,
    RUNS,
    TASK_RUNS,
    task_run_key,
)
from engine.model.signals import Layer
from engine.model.specs import Scalar
from engine.watching import going_back, lasting, mending_guards, wishes
from engine.watching.desk import Desk
from engine.watching.going_back import Choice, Trouble
from engine.watching.mending_guards import Request
from engine.watching.recent import Recent

LOSING = frozenset({"precision", "training_loss", "gradient_norm", "diverged"})
"""Signals of a training whose alarms say that it loses what it had learned."""
FAILED = frozenset({"run_failed"})
"""Signals of a pipeline whose newest run failed."""


class Mending:
    """Asks for stops, retries and roll-backs that would answer the likely cause."""

    def __init__(self, desk: Desk, recent: Recent) -> None:
        self._desk = desk
        self._recent = recent

    def stop(self, group: SuperAlarm, cause: Cause, abnormal: Mapping[str, float]) -> bool:
        """Ask to stop the trainings of a group that are losing precision; whether any was."""
        asked = False
        for alarm in _newest(group, LOSING):
            run_id, task = alarm.labels.get("run", ""), alarm.labels.get("task", "")
            stored = self._desk.ledger.get(TASK_RUNS, task_run_key(run_id, task))
            if stored is None or stored.value.state is not TaskState.RUNNING:
                continue
            action = dataclasses.replace(
                self._wanted(ActionKind.STOP, group, cause, f"stop.{run_id}.{task}"),
                subject=f"task:{stored.value.pipeline}/{task}",
                pipeline=stored.value.pipeline,
                run_id=stored.value.run_id,
                result=alarm.message,
            )
            is_lost = self._is_lost(alarm, cause, abnormal.get(alarm.series))
            found = mending_guards.of_stop(self._request(action, cause), is_lost=is_lost)
            asked |= self._ask(action, found)
        return asked

    def _is_lost(self, alarm: Alarm, cause: Cause, since: float | None) -> bool:
        """Return whether what a training lost stays lost: its own series tells, not its group.

        since: when its series became abnormal, None where it is normal again.
        """
        if since is None:
            return False
        if cause.settled:
            return True
        if self._desk.clock.now() - since < self._desk.policy.decide_seconds:
            return False
        run = alarm.labels.get("run")
        values = [one for one in self._recent.of(alarm.series) if one.labels.get("run") == run]
        return lasting.lasts(values, since, is_high=alarm.statistic > 0) is not False

    def retry(self, group: SuperAlarm, cause: Cause) -> bool | None:
        """Ask to run a failed run again with the remedy; None where no run of the group failed."""
        run = self._failed_run(group)
        if run is None:
            return None
        parameters = {} if cause.remedy is None else dict(cause.remedy.parameters)
        wish = documents.letters(documents.encode(parameters), 4)
        action = dataclasses.replace(
            self._wanted(ActionKind.RETRY, group, cause, f"retry.{run.run_id}.{wish}"),
            subject=f"run:{run.run_id}",
            pipeline=run.pipeline,
            run_id=run.run_id,
            plan_id=run.plan_id,
            parameters=parameters,
            cost_micro_dollars=wishes.expected_cost(self._desk.ledger, run.pipeline),
        )
        request = self._request(action, cause)
        return self._ask(action, mending_guards.of_retry(request, run.parameters))

    def roll_back(self, group: SuperAlarm, cause: Cause) -> bool:
        """Ask for a model that served well, where a deployment broke what serves."""
        pipeline = PipelineName(cause.subject.partition(":")[2].partition("/")[0])
        stored = self._desk.ledger.get(DEPLOYMENTS, pipeline)
        if stored is None or cause.kind is not CauseKind.CODE:
            return False
        action = dataclasses.replace(
            self._wanted(ActionKind.ROLL_BACK, group, cause, f"roll-back.{pipeline}"),
            subject=f"model:{pipeline}",
            pipeline=pipeline,
            parameters={LEFT: stored.value.serving or stored.value.wanted},
        )
        request = self._request(action, cause)
        choice = self._choice(group, stored.value, mending_guards.left(request))
        undone_at = stored.value.swapped_at if choice is None else choice.tenure.until
        if choice is not None and undone_at is not None:
            back: dict[str, Scalar] = {BACK: choice.tenure.digest, SINCE: undone_at}
            action = dataclasses.replace(action, parameters={**action.parameters, **back})
        found = mending_guards.of_roll_back(
            request,
            changed_at=undone_at,
            began_at=group.opened_at,
            back=None if choice is None else choice.tenure.digest,
            is_known=bool(stored.value.former),
            is_lasting=choice is None or choice.is_better,
        )
        return self._ask(action, found)

    def _choice(
        self, group: SuperAlarm, deployment: Deployment, left: Collection[object]
    ) -> Choice | None:
        """Return the model to go back to; none is better where all that alarms is silence.

        Silence does not say that the model is the trouble: what it runs on may be lost.
        """
        alarms = _of_serving(group, deployment.pipeline)
        measured = [alarm for alarm in alarms if alarm.test != "silence"]
        troubles = [
            Trouble(self._recent.of(alarm.series), is_high=alarm.statistic > 0)
            for alarm in measured
        ]
        found = going_back.choice(deployment.former, troubles, group.opened_at, left)
        if found is not None and alarms and not measured:
            return dataclasses.replace(found, is_better=False)
        return found

    def _wanted(self, kind: ActionKind, group: SuperAlarm, cause: Cause, wish: str) -> Action:
        action_id = f"{group.coming_id}.{wish}"
        return wishes.wanted(kind, group, cause, action_id, self._desk.clock.now())

    def _failed_run(self, group: SuperAlarm) -> Run | None:
        """Return the newest run of which an alarm of the group says that it failed."""
        for alarm in _newest(group, FAILED):
            stored = self._desk.ledger.get(RUNS, alarm.labels.get("run", ""))
            if stored is None or stored.value.state is not RunState.FAILED:
                continue
            where = {"pipeline": stored.value.pipeline}
            newest = self._desk.ledger.select(
                RUNS, where=where, order_by="created_at", descending=True, limit=1
            )
            if newest[0].value.run_id == stored.value.run_id:
                return stored.value
        return None

    def _request(self, action: Action, cause: Cause) -> Request:
        policy = self._desk.policy
        where = {"kind": action.kind.value, "pipeline": action.pipeline}
        past = self._desk.ledger.select(ACTIONS, where=where, order_by="wanted_at")
        return Request(
            policy=policy.mend,
            cause=cause,
            now=action.wanted_at,
            day_seconds=policy.day_seconds,
            past=[each.value for each in past if each.value.action_id != action.action_id],
            cost_micro_dollars=action.cost_micro_dollars,
        )

    def _ask(self, action: Action, found: tuple[Guard, ...]) -> bool:
        """Write what is wanted or held back, unless it stands there or policy forbids its kind."""
        if action.kind not in self._desk.policy.mend.kinds:
            return False
        return wishes.ask(self._desk, wishes.guarded(action, found))


def _of_serving(group: SuperAlarm, pipeline: PipelineName) -> list[Alarm]:
    """Return the alarms of a group on what a pipeline serves."""
    return [
        alarm
        for alarm in group.alarms
        if alarm.layer is Layer.SERVING and alarm.labels.get("pipeline", pipeline) == pipeline
    ]


def _newest(group: SuperAlarm, signals: frozenset[str]) -> list[Alarm]:
    """Return the newest alarm of each series of some signals, the newest first."""
    found: dict[str, Alarm] = {}
    for alarm in sorted(group.alarms, key=lambda each: (each.at, each.alarm_id)):
        if alarm.signal in signals:
            found[alarm.series] = alarm
    return sorted(found.values(), key=lambda each: (-each.at, each.alarm_id))
