"""The pages about super-alarms, and what people do there."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import responses
from starlette import status

from api.messages import hands
from api.report import alarm_parts, phrases, super_alarms, words
from api.report import hands as hands_report
from api.web.desk import Desk
from api.web.views import alarm_surroundings, reaches, timelines
from api.web.views import alarms as alarm_views
from api.web.views.filters import LEVELS, STATES, Filter
from engine.model import alarms, errors, records
from engine.model.checks import CheckKind
from engine.model.feedback import Verdict

HOUR_SECONDS = 3_600
NONE_SUCH = "No super-alarm is like that."


class AlarmPages:
    """Super-alarms: cause, changes, harm, actions, why they are one, timeline, the like before."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def listed(self, wanted: Filter) -> responses.Response:
        """The super-alarms that an address asks for."""
        every = self._desk.newest(records.SUPER_ALARMS, "updated_at")
        groups = [group for group in every if wanted.keeps(group)]
        count = phrases.plural(sum(len(group.alarms) for group in groups), "alarm")
        several = phrases.plural(len(groups), "super-alarm")
        now = self._desk.now()
        judged = hands_report.precision_text(self._desk.sources.hands.judged().months)
        lead = f"{several} from {count}, those that harm most first. {judged}".strip()
        silences = [one for one in self._desk.sources.hands.silences() if one.until > now]
        folded = self._desk.sources.hands.foldings()
        tables = [alarm_views.group_list(groups, now)] if groups else []
        tables += [alarm_surroundings.silences(silences, now)] if silences else []
        tables += [alarm_surroundings.folded(folded, now)] if folded else []
        return self._desk.page(
            "list.html",
            title="Super-alarms",
            here="/alarms",
            lead=lead if groups else "",
            tables=tables,
            empty="" if groups else self.watched() if not every else NONE_SUCH,
            command="",
            source=f"/alarms{wanted.query}",
            wanted=wanted if every else None,
            levels=LEVELS,
            states=STATES,
        )

    def watched(self) -> str:
        """Return what is watched and when it was last seen, for where there is no super-alarm."""
        latest = self._desk.newest(records.SIGNALS, "at", 500)
        if not latest:
            return "No super-alarm. No signal has been seen yet: nothing has run."
        series = len({one.series for one in latest})
        at = words.instant(latest[0].at)
        are = f"{phrases.plural(series, 'signal')} {'is' if series == 1 else 'are'}"
        return f"No super-alarm. {are} watched, the last one was seen at {at}."

    def one(self, super_alarm_id: str) -> responses.Response:
        """One super-alarm in the order of the first five minutes."""
        group, now = self._group(super_alarm_id), self._desk.now()
        every = self._desk.newest(records.ACTIONS, "wanted_at")
        taken = [action for action in every if alarm_views.is_of(action, group)]
        around = self._desk.sources.context(group.super_alarm_id)
        measured = self._desk.sources.ledger.select(
            records.SIGNALS,
            where={"series": sorted({alarm.series for alarm in group.alarms})},
            order_by="at",
            since=timelines.window(group)[0],
        )
        small = timelines.timeline(group, [stored.value for stored in measured], around.changes)
        return self._desk.page(
            "alarm.html",
            title=group.title,
            here="/alarms",
            group=group,
            headline=alarm_views.headline(group, around, now),
            likely=alarm_parts.likely(group),
            check_judged=alarm_parts.check_judged,
            undecided=alarm_parts.undecided_text(group),
            next_step=alarm_parts.next_step(alarm_parts.likely(group)),
            reach=reaches.reach(group),
            missed=alarm_parts.if_nothing_is_done(around.risks, "UTC", now),
            changes=alarm_views.changes(around.changes, group),
            at_risk=alarm_views.at_risk([self._at_risk(name) for name in group.pipelines], now),
            actions=alarm_views.actions(taken, now),
            series=alarm_views.series_list(group),
            around=around,
            offer=alarm_views.offer(
                self._desk.sources.hands.offered(group.super_alarm_id), group, taken
            ),
            outside=alarm_surroundings.outside(around.outside, group),
            in_order=alarm_surroundings.in_order(group, around),
            timeline=small,
            like_it=alarm_surroundings.like_it(around.like, now),
            notes=alarm_surroundings.notes(group),
            judged=hands_report.precision_text(around.months),
            hand_over=super_alarms.super_alarm_text(group, now=now, actions=taken, context=around),
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

    def acknowledge(self, super_alarm_id: str, who: str = "") -> responses.Response:
        """Take a super-alarm or give it to somebody, then show it again."""
        if who.strip():
            self._desk.sources.hands.take(super_alarm_id, hands.TakeQuestion(who=who.strip()))
        else:
            self._desk.sources.acknowledge(super_alarm_id)
        return _shown_again(super_alarm_id)

    def silence(self, super_alarm_id: str, hours: float, because: str) -> responses.Response:
        """Keep a super-alarm quiet for a while, then show it again."""
        self._desk.sources.silence(super_alarm_id, hours * HOUR_SECONDS, because)
        return _shown_again(super_alarm_id)

    def act(self, super_alarm_id: str) -> responses.Response:
        """Have Berth do what it offers about the likely cause, then show the super-alarm again."""
        self._desk.sources.hands.act(super_alarm_id, hands.ActQuestion(who="a person on the page"))
        return _shown_again(super_alarm_id)

    def feedback(self, super_alarm_id: str, verdict: str, cause: str) -> responses.Response:
        """Keep whether the first cause was right, then show the super-alarm again."""
        question = hands.FeedbackQuestion(verdict=Verdict(verdict), cause=cause)
        self._desk.sources.hands.feedback(super_alarm_id, question)
        return _shown_again(super_alarm_id)

    def check_feedback(
        self, super_alarm_id: str, check: CheckKind, subject: str, verdict: str
    ) -> responses.Response:
        """Keep whether the verdict of a check was right, then show the super-alarm again."""
        question = hands.CheckFeedbackQuestion(
            check=check, subject=subject, verdict=Verdict(verdict), who="a person on the page"
        )
        self._desk.sources.hands.check_feedback(super_alarm_id, question)
        return _shown_again(super_alarm_id)

    def note(self, super_alarm_id: str, text: str) -> responses.Response:
        """Add a note, then show the super-alarm again."""
        self._desk.sources.hands.note(super_alarm_id, hands.NoteQuestion(text=text))
        return _shown_again(super_alarm_id)

    def split(self, super_alarm_id: str, matcher: str) -> responses.Response:
        """Split alarms off, then show what stayed."""
        self._desk.sources.hands.split(super_alarm_id, hands.SplitQuestion(matchers=(matcher,)))
        return _shown_again(super_alarm_id)

    def merge(self, super_alarm_id: str, other: str) -> responses.Response:
        """Merge another one with this one, then show the one that stays."""
        question = hands.MergeQuestion(other=other)
        return _shown_again(self._desk.sources.hands.merge(super_alarm_id, question).super_alarm_id)


def _shown_again(super_alarm_id: str) -> responses.Response:
    return responses.RedirectResponse(
        f"/alarms/{super_alarm_id}", status_code=status.HTTP_303_SEE_OTHER
    )
