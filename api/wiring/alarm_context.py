"""Finds what surrounds a super-alarm, for the page and for `berth alarms show`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from api.messages.context import Context, Past, Risk
from api.messages.hands import FeedbackAnswer
from api.wiring import alarm_feel, splitting
from engine.model.alarms import Action, ActionKind, Alarm, Event, SuperAlarm, SuperAlarmState
from engine.model.feedback import Feedback
from engine.model.identifiers import PipelineName
from engine.model.records import (
    ACTIONS,
    ALARMS,
    CHECK_FEEDBACK,
    DEPLOYMENTS,
    EVENTS,
    FEEDBACK,
    PIPELINES,
    PLANS,
    RUNS,
    SIGNALS,
    SUPER_ALARMS,
)
from engine.model.signals import Signal
from engine.ports import Ledger

LOOK_BACK_SECONDS = 3_600.0
OUTSIDE_SECONDS = 300.0
_OUTSIDE_MOST = 5
_LIKE_MOST = 3
_NEWEST = 200
_ALARMS_MOST = 2_000
_SIGNALS_MOST = 2_000


class AlarmContext:
    """Looks around super-alarms. May be used from several threads."""

    def __init__(self, ledger: Ledger, judged: Callable[[], FeedbackAnswer]) -> None:
        self._ledger = ledger
        self._judged = judged

    def of(self, group: SuperAlarm) -> Context:
        """Return what surrounds a super-alarm."""
        feedback = self._ledger.get(FEEDBACK, group.coming_id)
        runbooks = {alarm.labels.get("runbook_url", "") for alarm in group.alarms} - {""}
        newest = self._newest(group)
        back, series = alarm_feel.back_to_normal(group, newest)
        return Context(
            feels=alarm_feel.feels(group, newest),
            back=back,
            series=series,
            changes=tuple(self._changes(group)),
            risks=tuple(self._risk(name) for name in group.pipelines),
            like=tuple(self._like(group)),
            outside=tuple(self._outside(group)),
            split=splitting.hint(group),
            runbooks=tuple(sorted(runbooks)),
            feedback=None if feedback is None else feedback.value,
            told=tuple(self._told(group)),
            checks=tuple(
                stored.value
                for stored in self._ledger.select(
                    CHECK_FEEDBACK, where={"super_alarm_id": group.super_alarm_id}, order_by="at"
                )
                if stored.value.times == group.times
            ),
            months=self._judged().months,
        )

    def _told(self, group: SuperAlarm) -> list[Feedback]:
        """Return what people said of the first causes of earlier times."""
        found = [self._ledger.get(FEEDBACK, earlier.coming_id) for earlier in group.past]
        return [stored.value for stored in found if stored is not None]

    def _newest(self, group: SuperAlarm) -> dict[str, Signal]:
        """Return the newest value of each series that alarmed."""
        names = sorted({alarm.series for alarm in group.alarms})
        found = self._ledger.select(
            SIGNALS,
            where={"series": names},
            order_by="at",
            descending=True,
            since=group.opened_at,
            limit=_SIGNALS_MOST,
        )
        return alarm_feel.newest_of(stored.value for stored in found)

    def _changes(self, group: SuperAlarm) -> list[Event]:
        since = group.opened_at - LOOK_BACK_SECONDS
        found = self._ledger.select(EVENTS, order_by="at", since=since)
        over = group.state is SuperAlarmState.RESOLVED
        until = group.updated_at if over else math.inf
        return [
            stored.value
            for stored in found
            if stored.value.at <= until and _concerns(stored.value, group)
        ]

    def _risk(self, name: PipelineName) -> Risk:
        spec = self._ledger.get(PIPELINES, name)
        runs = self._ledger.select(
            RUNS, where={"pipeline": name}, order_by="created_at", descending=True, limit=1
        )
        run = runs[0].value if runs else None
        plan = self._ledger.get(PLANS, run.plan_id) if run else None
        promises = plan.value.placement.promises if plan else ()
        promise = next((one for one in promises if one.pipeline == name), None)
        ends = [
            one.end_seconds_p95
            for one in (plan.value.placement.assignments if plan else ())
            if one.pipeline == name and one.end_seconds_p95 is not None
        ]
        return Risk(
            pipeline=name,
            owner=spec.value.owner if spec else "",
            run_id=run.run_id if run else "",
            run_state=run.state.value if run else "",
            is_serving=self._ledger.get(DEPLOYMENTS, name) is not None,
            deadline_at=promise.deadline_seconds if promise else None,
            ends_at_p95=max(ends, default=None),
            keep=promise.keep_forecast if promise else None,
        )

    def _like(self, group: SuperAlarm) -> list[Past]:
        """Return past super-alarms that are most like this one."""
        found = self._ledger.select(
            SUPER_ALARMS, order_by="updated_at", descending=True, limit=_NEWEST
        )
        signals = {alarm.signal for alarm in group.alarms}
        scored = [
            (_likeness(group, signals, stored.value), stored.value)
            for stored in found
            if stored.value.super_alarm_id != group.super_alarm_id
            and stored.value.state is SuperAlarmState.RESOLVED
            and not stored.value.note.startswith("merged into")
        ]
        best = sorted(
            (one for one in scored if one[0] > 0), key=lambda one: (-one[0], -one[1].opened_at)
        )
        actions = [
            stored.value
            for stored in self._ledger.select(
                ACTIONS, order_by="wanted_at", descending=True, limit=_NEWEST
            )
        ]
        return [_past(other, actions, self._verdict(other)) for _, other in best[:_LIKE_MOST]]

    def _verdict(self, group: SuperAlarm) -> str:
        stored = self._ledger.get(FEEDBACK, group.coming_id)
        return "" if stored is None else _words(stored.value)

    def _outside(self, group: SuperAlarm) -> list[Alarm]:
        """Return alarms near in time that stand elsewhere, the nearest first."""
        begins = group.opened_at - OUTSIDE_SECONDS
        newest = max((alarm.at for alarm in group.alarms), default=group.opened_at)
        ends = newest + OUTSIDE_SECONDS
        mine = {alarm.alarm_id for alarm in group.alarms}
        series = {alarm.series for alarm in group.alarms}
        found = self._ledger.select(ALARMS, order_by="at", since=begins, limit=_ALARMS_MOST)
        near = [
            stored.value
            for stored in found
            if stored.value.at <= ends
            and stored.value.alarm_id not in mine
            and stored.value.series not in series
        ]
        near.sort(key=lambda alarm: abs(alarm.at - group.opened_at))
        # One a series: what repeats itself says nothing more.
        nearest = {alarm.series: alarm for alarm in reversed(near)}
        return [alarm for alarm in near if nearest[alarm.series] is alarm][:_OUTSIDE_MOST]


def _concerns(event: Event, group: SuperAlarm) -> bool:
    """Whether an event may matter to a group: what people did elsewhere does not."""
    ids = {group.super_alarm_id, *group.aliases}
    return event.kind != "person" or event.subject in ids or not event.subject.startswith("SA-")


def _likeness(group: SuperAlarm, signals: set[str], other: SuperAlarm) -> float:
    """Return how much two groups are alike: the same cause, the same signals (Jaccard)."""
    theirs = {alarm.signal for alarm in other.alarms}
    shared = len(signals & theirs) / len(signals | theirs) if signals | theirs else 0.0
    one, two = group.likely, other.likely
    same = bool(one and two and one.kind is two.kind and one.kind.value != "unknown")
    return shared + (1.0 if same else 0.0)


def _past(group: SuperAlarm, actions: Sequence[Action], verdict: str) -> Past:
    ids = {group.super_alarm_id, *group.aliases}
    done = [
        f"{action.kind.value}: {action.result or action.state.value}"
        for action in actions
        if action.super_alarm_id in ids and action.kind is not ActionKind.NOTIFY
    ]
    return Past(
        super_alarm_id=group.super_alarm_id,
        title=group.title,
        cause=group.likely.title if group.likely else "",
        state=group.state,
        opened_at=group.opened_at,
        done=done[0] if done else "nothing by Berth",
        fixed_seconds=max(0.0, group.updated_at - group.opened_at),
        verdict=verdict,
    )


def _words(feedback: Feedback) -> str:
    instead = f", it was {feedback.right_cause}" if feedback.right_cause else ""
    return f"{feedback.verdict.value}{instead}"
