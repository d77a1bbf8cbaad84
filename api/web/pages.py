"""The routes of the pages. They read the ledger and lay out what `views` made of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import fastapi
import jinja2
from fastapi import responses
from starlette import staticfiles

from api.report import capacity as capacity_report
from api.report import words
from api.web import cells
from api.web.views import alarms as alarm_views
from api.web.views import plans as plan_views
from api.web.views import runs as run_views
from engine import ports
from engine.model import alarms, dispatches, errors, fleet, records

FOLDER = Path(__file__).parent
POLICY = "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; form-action 'self'"
REPORT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
LIVE_ROWS = 50
HOUR_SECONDS = 3_600

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What the pages read, and the two things they change.

    acknowledge: takes a super-alarm's id; silence: its id, seconds, and why.
    """

    ledger: ports.Ledger
    clock: ports.Clock
    fleet: Callable[[], fleet.Fleet]
    version: str
    acknowledge: Callable[[str], object]
    silence: Callable[[str, float, str], object]


class Pages:
    """Renders pages; one method a page, each returns a response."""

    def __init__(self, sources: Sources) -> None:
        self._from = sources
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(FOLDER / "templates"),
            autoescape=True,
            trim_blocks=True,
            undefined=jinja2.StrictUndefined,
        )
        self._templates.globals["asset"] = _asset
        self._templates.globals["version"] = sources.version

    def _page(self, template: str, **content: object) -> responses.HTMLResponse:
        text = self._templates.get_template(template).render(**content)
        return responses.HTMLResponse(text, headers={"Content-Security-Policy": POLICY})

    def _all(self, collection: records.Collection[T], order_by: str, limit: int = 200) -> list[T]:
        found = self._from.ledger.select(
            collection, order_by=order_by, descending=True, limit=limit
        )
        return [stored.value for stored in found]

    def _one(self, collection: records.Collection[T], key: str, what: str) -> T:
        stored = self._from.ledger.get(collection, key)
        if stored is None:
            raise errors.NotFoundError(
                f"there is no {what} {key!r}", fix=f"the list of {what}s shows those there are"
            )
        return stored.value

    def overview(self) -> responses.HTMLResponse:
        """What is wrong, what serves, what runs."""
        groups = self._all(records.SUPER_ALARMS, "updated_at")
        runs = self._all(records.RUNS, "created_at", LIVE_ROWS)
        open_groups = [g for g in groups if g.state is not alarms.SuperAlarmState.RESOLVED]
        active = sum(run.state is dispatches.RunState.ACTIVE for run in runs)
        return self._page(
            "overview.html",
            title="Overview",
            here="/",
            lead=_headline(open_groups),
            pairs=[
                ("Open super-alarms", str(len(open_groups))),
                ("Runs in progress", str(active)),
                ("Clusters", str(len(self._from.fleet().clusters))),
            ],
            groups=alarm_views.group_list(open_groups, self._from.clock.now()),
            watched=self._watched(),
            serving=run_views.deployments(self._all(records.DEPLOYMENTS, "")),
            runs=run_views.run_list(runs[:10]),
        )

    def _watched(self) -> str:
        latest = self._all(records.SIGNALS, "at", 1)
        if not latest:
            return "No super-alarm. No signal has been seen yet."
        return f"No super-alarm. The last signal was seen at {words.instant(latest[0].at)}."

    def plans(self) -> responses.HTMLResponse:
        """All plans."""
        listed = plan_views.plan_list(self._all(records.PLANS, "as_of"))
        return self._page(
            "list.html",
            title="Plans",
            here="/plans",
            lead="Where and when each task runs, what it costs, and why.",
            tables=[listed],
            empty="" if listed.rows else "There is no plan yet: berth plan FILE makes one.",
        )

    def plan(self, plan_id: str) -> responses.HTMLResponse:
        """One plan with its reasons."""
        plan = self._one(records.PLANS, plan_id, "plan")
        return self._page(
            "plan.html",
            title=f"Plan {plan_id}",
            here="/plans",
            plan=plan,
            headline=plan_views.title(plan),
            as_of=words.instant(plan.request.as_of),
            promises=plan_views.promises(plan),
            assignments=plan_views.assignments(plan),
            sharing=plan_views.sharing(plan),
            reasons=plan_views.reasons(plan),
        )

    def runs(self) -> responses.HTMLResponse:
        """All runs."""
        listed = run_views.run_list(self._all(records.RUNS, "created_at"))
        return self._page(
            "list.html",
            title="Runs",
            here="/runs",
            lead="Executions of pipelines, newest first.",
            tables=[listed],
            empty="" if listed.rows else "Nothing has run yet: berth apply PLAN starts a pipeline.",
        )

    def run(self, run_id: str) -> responses.HTMLResponse:
        """One run with its tasks."""
        run = self._one(records.RUNS, run_id, "run")
        found = self._from.ledger.select(records.TASK_RUNS, where={"run_id": run_id})
        by_name = {stored.value.task: stored.value for stored in found}
        plan = self._from.ledger.get(records.PLANS, run.plan_id)
        specs = plan.value.request.pipelines if plan else ()
        order = [task.name for spec in specs if spec.name == run.pipeline for task in spec.tasks]
        tasks = [by_name.pop(name) for name in order if name in by_name] + list(by_name.values())
        done = sum(task.state.is_terminal for task in tasks)
        ended = run.ended_at or self._from.clock.now()
        return self._page(
            "run.html",
            title=f"Run {run_id}",
            here="/runs",
            run=run,
            tone=run_views.RUN_TONES[run.state],
            pairs=[
                ("Tasks ended", f"{done} of {len(tasks)}"),
                ("Started", words.instant(run.created_at)),
                ("Took", words.duration(ended - run.created_at)),
            ],
            tasks=run_views.task_list(tasks),
        )

    def groups(self) -> responses.HTMLResponse:
        """All super-alarms."""
        groups = self._all(records.SUPER_ALARMS, "updated_at")
        count = sum(len(group.alarms) for group in groups)
        listed = alarm_views.group_list(groups, self._from.clock.now())
        return self._page(
            "list.html",
            title="Super-alarms",
            here="/alarms",
            lead=f"{len(groups)} super-alarms from {count} alarms, those that harm most first.",
            tables=[listed],
            empty="" if listed.rows else self._watched(),
        )

    def group(self, super_alarm_id: str) -> responses.HTMLResponse:
        """One super-alarm: cause, changes, actions, timeline, why these alarms are one."""
        group = self._one(records.SUPER_ALARMS, super_alarm_id, "super-alarm")
        acted = [a for a in self._all(records.ACTIONS, "wanted_at") if _is_of(a, group)]
        measured = self._from.ledger.select(
            records.SIGNALS,
            where={"series": sorted({alarm.series for alarm in group.alarms})},
            order_by="at",
            since=group.opened_at - HOUR_SECONDS,
        )
        events = self._from.ledger.select(
            records.EVENTS, order_by="at", since=group.opened_at - HOUR_SECONDS
        )
        return self._page(
            "alarm.html",
            title=group.title,
            here="/alarms",
            group=group,
            severity_tone=alarm_views.SEVERITY_TONES[group.severity],
            state_tone=alarm_views.STATE_TONES[group.state],
            since=words.instant(group.opened_at),
            actions=alarm_views.action_list(acted),
            changes=alarm_views.changes([stored.value for stored in events], group),
            timeline=alarm_views.timeline(group, [stored.value for stored in measured]),
            alarms=alarm_views.alarm_list(group),
        )

    def acknowledge(self, super_alarm_id: str) -> responses.Response:
        """Take a super-alarm, then show it again."""
        self._from.acknowledge(super_alarm_id)
        return responses.RedirectResponse(f"/alarms/{super_alarm_id}", status_code=303)

    def silence(self, super_alarm_id: str, hours: float, because: str) -> responses.Response:
        """Keep a super-alarm quiet for a while, then show it again."""
        self._from.silence(super_alarm_id, hours * HOUR_SECONDS, because)
        return responses.RedirectResponse(f"/alarms/{super_alarm_id}", status_code=303)

    def capacity(self) -> responses.HTMLResponse:
        """All capacity reports."""
        reports = self._all(records.CAPACITY_REPORTS, "as_of")
        listed = cells.table(
            "Capacity reports",
            ["As of", ("Verdict", "text"), "Source"],
            (
                (
                    cells.Cell(words.instant(one.as_of), href=f"/capacity/{one.report_id}"),
                    one.verdict,
                    one.source,
                )
                for one in reports
            ),
        )
        return self._page(
            "list.html",
            title="Capacity",
            here="/capacity",
            lead="Forecast demand against supply.",
            tables=[listed],
            empty="" if reports else "There is no report yet: berth capacity makes one.",
        )

    def capacity_one(self, report_id: str) -> responses.HTMLResponse:
        """One capacity report, the same document that `berth capacity --html` writes."""
        report = self._one(records.CAPACITY_REPORTS, report_id, "capacity report")
        text = capacity_report.capacity_html(report)
        return responses.HTMLResponse(text, headers={"Content-Security-Policy": REPORT_POLICY})

    def fleet(self) -> responses.HTMLResponse:
        """Every pool with what it holds."""
        health = {h.cluster: h for h in self._all(records.CLUSTER_HEALTH, "")}
        running = [state.value for state in dispatches.AttemptState if not state.is_terminal]
        attempts = self._from.ledger.select(records.ATTEMPTS, where={"state": running})
        listed = run_views.clusters(self._from.fleet(), health, [a.value for a in attempts])
        return self._page(
            "list.html",
            title="Fleet",
            here="/fleet",
            lead="Clusters of pools of machines, with their prices and what runs there.",
            tables=[listed],
            empty="",
        )


def _is_of(action: alarms.Action, group: alarms.SuperAlarm) -> bool:
    return action.super_alarm_id in {group.super_alarm_id, *group.aliases}


def _headline(groups: Sequence[alarms.SuperAlarm]) -> str:
    if not groups:
        return "All is well."
    worst = max(groups, key=lambda group: (group.severity.rank, group.updated_at))
    return f"{worst.severity.value}: {worst.title}"


def _asset(name: str) -> str:
    """Return the address of a static file with a hash of its content, so that it may be cached."""
    digest = hashlib.sha256((FOLDER / "static" / name).read_bytes()).hexdigest()[:10]
    return f"/static/{name}?v={digest}"


def router(sources: Sources) -> fastapi.APIRouter:
    """Return the routes of all pages; they are no part of the OpenAPI document."""
    pages = Pages(sources)
    routes = fastapi.APIRouter(include_in_schema=False, default_response_class=fastapi.Response)
    for path, page in (
        ("/", pages.overview),
        ("/plans", pages.plans),
        ("/plans/{plan_id}", pages.plan),
        ("/runs", pages.runs),
        ("/runs/{run_id}", pages.run),
        ("/alarms", pages.groups),
        ("/alarms/{super_alarm_id}", pages.group),
        ("/capacity", pages.capacity),
        ("/capacity/{report_id}", pages.capacity_one),
        ("/fleet", pages.fleet),
    ):
        routes.add_api_route(path, page, methods=["GET"], response_model=None)
    routes.add_api_route(
        "/alarms/{super_alarm_id}/acknowledge",
        pages.acknowledge,
        methods=["POST"],
        response_model=None,
    )

    @routes.post("/alarms/{super_alarm_id}/silence", response_model=None)
    def silence(
        super_alarm_id: str,
        hours: float = fastapi.Form(gt=0, le=24 * 30),
        because: str = fastapi.Form(min_length=1, max_length=200),
    ) -> responses.Response:
        return pages.silence(super_alarm_id, hours, because)

    return routes


def mount(application: fastapi.FastAPI, sources: Sources) -> None:
    """Add the pages and their static files to an application."""
    application.include_router(router(sources))
    application.mount("/static", staticfiles.StaticFiles(directory=FOLDER / "static"))
