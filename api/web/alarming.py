"""The pages about super-alarms, and what people do there."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import responses
from starlette import status

from api.report import phrases, super_alarms, words
from api.web.desk import Desk
from api.web.views import alarms as alarm_views
from api.web.views import timelines
from engine.model import alarms, errors, records

HOUR_SECONDS = 3_600


class AlarmPages:
    """Super-alarms: cause, changes, harm, actions, why they are one, timeline, the like before."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def every(self) -> responses.Response:
        """All super-alarms."""
        groups = self._desk.newest(records.SUPER_ALARMS, "updated_at")
        count = phrases.plural(sum(len(group.alarms) for group in groups), "alarm")
        several = phrases.plural(len(groups), "super-alarm")
        return self._desk.page(
            "list.html",
            title="Super-alarms",
            here="/alarms",
            lead=f"{several} from {count}, those that harm most first." if groups else "",
            tables=[alarm_views.group_list(groups, self._desk.now())],
            empty="" if groups else self.watched(),
            command="",
        )

    def watched(self) -> str:
        """Return what is watched and when it was last seen, for where there is no super-alarm."""
        latest = self._desk.newest(records.SIGNALS, "at", 500)
        if not latest:
            return "No super-alarm. No signal has been seen yet: nothing has run."
        series = len({one.series for one in latest})
        at = words.instant(latest[0].at)
        return f"No super-alarm. {series} signals are watched, the last one was seen at {at}."

    def one(self, super_alarm_id: str) -> responses.Response:
        """One super-alarm in the order of the first five minutes."""
        group, now = self._group(super_alarm_id), self._desk.now()
        every = self._desk.newest(records.ACTIONS, "wanted_at")
        taken = [action for action in every if alarm_views.is_of(action, group)]
        since = group.opened_at - HOUR_SECONDS
        events = self._desk.since(records.EVENTS, since)
        measured = self._desk.sources.ledger.select(
            records.SIGNALS,
            where={"series": sorted({alarm.series for alarm in group.alarms})},
            order_by="at",
            since=timelines.window(group)[0],
        )
        others = self._desk.newest(records.SUPER_ALARMS, "updated_at")
        return self._desk.page(
            "alarm.html",
            title=group.title,
            here="/alarms",
            group=group,
            headline=alarm_views.headline(group, now),
            changes=alarm_views.changes(events, group),
            at_risk=alarm_views.at_risk([self._at_risk(name) for name in group.pipelines], now),
            actions=alarm_views.actions(taken, now),
            series=alarm_views.series_list(group),
            timeline=timelines.timeline(group, [stored.value for stored in measured], events),
            like_it=alarm_views.like_it(group, others, every, now),
            hand_over=super_alarms.super_alarm_text(group, now=now, actions=taken),
        )

    def _group(self, super_alarm_id: str) -> alarms.SuperAlarm:
        """Return a group, also by the id of one that was merged into it."""
        try:
            return self._desk.one(records.SUPER_ALARMS, super_alarm_id, "super-alarm")
        except errors.NotFoundError:
            for group in self._desk.newest(records.SUPER_ALARMS, "updated_at"):
                if super_alarm_id in group.aliases:
                    return group
            raise

    def _at_risk(self, name: str) -> alarm_views.AtRisk:
        ledger = self._desk.sources.ledger
        spec = ledger.get(records.PIPELINES, name)
        runs = ledger.select(
            records.RUNS, where={"pipeline": name}, order_by="created_at", descending=True, limit=1
        )
        plan = ledger.get(records.PLANS, runs[0].value.plan_id) if runs else None
        deployment = ledger.get(records.DEPLOYMENTS, name)
        return alarm_views.AtRisk(
            name=name,
            spec=spec.value if spec else None,
            run=runs[0].value if runs else None,
            plan=plan.value if plan else None,
            deployment=deployment.value if deployment else None,
        )

    def open_ones(self) -> Sequence[alarms.SuperAlarm]:
        """Return the super-alarms that are not over, those that harm most first."""
        groups = self._desk.newest(records.SUPER_ALARMS, "updated_at")
        over = alarms.SuperAlarmState.RESOLVED
        return [group for group in alarm_views.ordered(groups) if group.state is not over]

    def acknowledge(self, super_alarm_id: str) -> responses.Response:
        """Take a super-alarm, then show it again."""
        self._desk.sources.acknowledge(super_alarm_id)
        return _shown_again(super_alarm_id)

    def silence(self, super_alarm_id: str, hours: float, because: str) -> responses.Response:
        """Keep a super-alarm quiet for a while, then show it again."""
        self._desk.sources.silence(super_alarm_id, hours * HOUR_SECONDS, because)
        return _shown_again(super_alarm_id)


def _shown_again(super_alarm_id: str) -> responses.Response:
    return responses.RedirectResponse(
        f"/alarms/{super_alarm_id}", status_code=status.HTTP_303_SEE_OTHER
    )
