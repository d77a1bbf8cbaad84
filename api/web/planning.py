"""The pages about plans."""

from __future__ import annotations

from fastapi import responses

from api.report import words
from api.web.desk import Desk
from api.web.views import plans as plan_views
from api.web.views import runs as run_views
from engine.model import dispatches, records


class PlanPages:
    """Plans with their reasons."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def every(self) -> responses.Response:
        """All plans."""
        stored = self._desk.newest(records.PLANS, "as_of", 50)
        return self._desk.page(
            "list.html",
            title="Plans",
            here="/plans",
            lead="Where and when each task runs, what it costs, and why.",
            tables=[plan_views.plan_list(stored, self._desk.now())],
            empty="" if stored else "There is no plan yet. Make one:",
            command="berth plan FILE",
        )

    def one(self, plan_id: str) -> responses.Response:
        """One plan with its reasons, and what ran under it."""
        plan = self._desk.one(records.PLANS, plan_id, "plan")
        actions = self._desk.newest(records.ACTIONS, "wanted_at")
        return self._desk.page(
            "plan.html",
            title=f"Plan {plan_id}",
            here="/plans",
            plan=plan,
            headline=plan_views.title(plan),
            as_of=words.instant(plan.request.as_of),
            promises=plan_views.promises(plan),
            assignments=plan_views.assignments(plan),
            limits=plan_views.limits(plan),
            sharing=plan_views.sharing(plan),
            reasons=plan_views.reasons(plan),
            runs=run_views.run_list(self._runs(plan_id), self._desk.now()),
            actions=[action for action in actions if action.plan_id == plan_id],
        )

    def _runs(self, plan_id: str) -> list[dispatches.Run]:
        """Return the runs under a plan, also those that were moved to another one since."""
        events = self._desk.newest(records.EVENTS, "at")
        begun = {one.labels.get("run") for one in events if one.labels.get("plan") == plan_id}
        runs = self._desk.newest(records.RUNS, "created_at")
        return [run for run in runs if run.plan_id == plan_id or run.run_id in begun]
