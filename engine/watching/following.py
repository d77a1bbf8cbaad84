"""Looks what came of roll-backs and retrainings, and keeps it with their super-alarm as a check.

One that changed nothing counts against its cause, so that the next one may be acted upon; one that
helped confirms it. Both are final: a trouble that comes back is another one.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from engine.model import remedied
from engine.model.alarms import BACK, SINCE, Action, ActionKind, ActionState, SuperAlarm
from engine.model.checks import Checked, Verdict
from engine.model.records import ACTIONS, DEPLOYMENTS, PIPELINES, SUPER_ALARMS, Put
from engine.ports import Detector
from engine.watching import outcomes
from engine.watching.checking import with_check
from engine.watching.desk import Desk
from engine.watching.judging import OPEN_STATES, actions_of
from engine.watching.outcomes import Span
from engine.watching.recent import Recent


class Following:
    """Checks what was done, once its signals can tell."""

    def __init__(self, desk: Desk, detector: Detector, recent: Recent) -> None:
        self._desk = desk
        self._detector = detector
        self._recent = recent
        self._look_back_seconds = desk.policy.look_back_seconds

    def step(self) -> bool:
        """Look at what was done about each open super-alarm; return whether anything is known."""
        found = self._desk.ledger.select(
            SUPER_ALARMS, where={"state": OPEN_STATES}, order_by="updated_at"
        )
        groups = [stored.value for stored in found]
        done = actions_of(self._desk.ledger, groups)
        before = self._roll_backs(groups)
        changed = False
        for stored in found:
            group = stored.value
            theirs = [one for one in before if _is_before(group, one, self._look_back_seconds)]
            for action in (*done.get(group.super_alarm_id, ()), *theirs):
                checked = self._checked(group, action)
                if checked is not None:
                    group = _with_outcome(group, checked)
            if group != stored.value:
                changed |= self._desk.commit(
                    "watch.follow", Put(SUPER_ALARMS, group, stored.version)
                )
        return changed

    def _roll_backs(self, groups: Sequence[SuperAlarm]) -> list[Action]:
        """Return roll-backs since which nothing else was deployed, of super-alarms now over too.

        A trouble that a detector calls normal for a moment comes back as another super-alarm,
        which would blame what was undone already.
        """
        if not groups:
            return []
        since = min(group.opened_at for group in groups) - self._look_back_seconds
        where = {"kind": ActionKind.ROLL_BACK.value, "state": ActionState.DONE.value}
        found = self._desk.ledger.select(ACTIONS, where=where, order_by="wanted_at", since=since)
        return [stored.value for stored in found if self._is_newest(stored.value)]

    def _is_newest(self, action: Action) -> bool:
        """Return whether the model that a roll-back brought still serves."""
        stored = self._desk.ledger.get(DEPLOYMENTS, action.pipeline or "")
        return stored is not None and stored.value.serving == action.parameters.get(BACK)

    def _checked(self, group: SuperAlarm, action: Action) -> Checked | None:
        """Return what came of an action, None before that is known or when it is known already."""
        kind = outcomes.KINDS.get(action.kind)
        if kind is None or action.state is not ActionState.DONE or action.ended_at is None:
            return None
        if outcomes.of(group, action) is not None:
            return None
        span = _span(group, action, action.ended_at)
        said = [
            (alarm, values, outcomes.verdict(values, span, is_high=alarm.statistic > 0))
            for alarm in outcomes.alarmed(group, action)
            if (values := self._recent.of(alarm.series))
        ]
        verdict, now = outcomes.together([each for *_, each in said]), self._desk.clock.now()
        if verdict is Verdict.OPEN or now < self._earliest(action, span, verdict):
            return None
        abnormal = self._detector.abnormal()
        if verdict is Verdict.CONFIRMS and any(alarm.series in abnormal for alarm, *_ in said):
            return None
        return Checked(
            kind=kind,
            subject=outcomes.subject_of(action),
            verdict=verdict,
            message="; ".join(
                outcomes.told(alarm.signal, values, span)
                for alarm, values, each in said
                if each is verdict
            ),
            at=now,
            took_seconds=now - action.ended_at,
        )

    def _earliest(self, action: Action, span: Span, verdict: Verdict) -> float:
        """Return from when on a verdict counts; that of something that helped does at once.

        Labels come late, and a trouble needs as long to go as it took to be seen: a roll-back has
        at least as long as lay between its deployment and the first alarm, a retraining the
        cool-down of its pipeline.
        """
        if verdict is Verdict.CONFIRMS:
            return span.done_at
        least = span.began_at - span.good_until
        if action.kind is ActionKind.RETRAIN:
            stored = self._desk.ledger.get(PIPELINES, action.pipeline or "")
            policy = stored.value.retrain if stored else None
            least = policy.cool_down_seconds / self._desk.policy.clock_factor if policy else 0.0
        return span.done_at + max(self._desk.policy.decide_seconds, least)


def _is_before(group: SuperAlarm, action: Action, look_back_seconds: float) -> bool:
    """Return whether a roll-back was before a super-alarm, which might blame what it undid."""
    ended_at = action.ended_at or math.inf
    is_its = action.pipeline in group.pipelines
    return is_its and group.opened_at - look_back_seconds <= ended_at < group.opened_at


def _span(group: SuperAlarm, action: Action, done_at: float) -> Span:
    """Return when values are of before the trouble: those before what a roll-back undid came."""
    since = action.parameters.get(SINCE)
    began_at = min(alarm.at for alarm in group.alarms)
    good_until = began_at if since is None else min(float(since), began_at)
    # The trouble of a roll-back before a super-alarm is that of another one.
    began_at = good_until if began_at > done_at else began_at
    return Span(good_until=good_until, began_at=began_at, done_at=done_at)


def _with_outcome(group: SuperAlarm, checked: Checked) -> SuperAlarm:
    """Return a super-alarm with what came of an action, also where people see its cause.

    Causes stand while what was done about them works; they are ranked anew when it did nothing.
    """
    causes = tuple(
        dataclasses.replace(cause, checked=checked)
        if remedied.check_of(cause.kind, cause.subject) == (checked.kind, checked.subject)
        else cause
        for cause in group.causes
    )
    return dataclasses.replace(with_check(group, checked), causes=causes)
