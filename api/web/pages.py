"""The routes of the pages: overview, capacity, and those of the neighbouring modules."""

from __future__ import annotations

import functools
from typing import Annotated, Literal

import fastapi
from fastapi import responses
from starlette import staticfiles
from starlette.requests import Request
from starlette.types import Scope

from api.report import capacity as capacity_report
from api.web import cells, failing, streaming
from api.web.alarming import AlarmPages
from api.web.desk import FOLDER, HEADERS, Desk, Sources
from api.web.planning import PlanPages
from api.web.running import RunPages
from api.web.training import TrainingPages
from api.web.views import alarms as alarm_views
from api.web.views import clusters as cluster_views
from api.web.views import runs as run_views
from api.web.views.filters import Filter
from engine.model import dispatches, records
from engine.model.checks import CheckKind

__all__ = ["Sources", "mount", "router"]

REPORT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
RUNS_SHOWN = 10
MONTH_HOURS = 24 * 30


class Pages:
    """Overview and capacity."""

    def __init__(self, desk: Desk, alarming: AlarmPages) -> None:
        self._desk = desk
        self._alarming = alarming
        # Reports never change, and the drawings of one take a second or two.
        self._report = functools.lru_cache(maxsize=8)(self._drawn)

    def overview(self) -> responses.Response:
        """What is wrong, what serves, what runs."""
        now = self._desk.now()
        going = self._alarming.open_ones()
        runs = self._desk.newest(records.RUNS, "created_at")
        active = [run for run in runs if run.state is dispatches.RunState.ACTIVE]
        serving = self._desk.newest(records.DEPLOYMENTS, "")
        sizes = {each.pipeline: each for each in self._desk.newest(records.SERVICE_SIZES, "at")}
        return self._desk.page(
            "overview.html",
            title="Overview",
            here="/",
            worst=going[0] if going else None,
            tone=alarm_views.SEVERITY_TONES[going[0].severity] if going else cells.Tone.OK,
            pairs=[
                ("Open super-alarms", str(len(going))),
                ("Models serving", str(sum(one.serving is not None for one in serving))),
                ("Runs in progress", str(len(active))),
                ("Clusters that answer", self._answering()),
            ],
            groups=alarm_views.group_list(going, now),
            watched=self._alarming.watched(),
            serving=run_views.deployments(serving, sizes, now),
            runs=run_views.run_list(runs[:RUNS_SHOWN], now),
        )

    def _answering(self) -> str:
        """How many clusters answer, of how many."""
        clusters = self._desk.sources.fleet().clusters
        health = {one.cluster: one for one in self._desk.newest(records.CLUSTER_HEALTH, "")}
        good = sum(cluster_views.answers(one, health) for one in clusters)
        return f"{good} of {len(clusters)}"

    def capacity(self) -> responses.Response:
        """All capacity reports."""
        now = self._desk.now()
        reports = self._desk.newest(records.CAPACITY_REPORTS, "as_of")
        listed = cells.table(
            "Capacity reports",
            ["Report", ("Verdict", "text"), "From", ("Source", "text")],
            (
                (
                    cells.link(one.report_id, "/capacity"),
                    one.verdict,
                    cells.moment(one.as_of, now),
                    one.source,
                )
                for one in reports
            ),
        )
        return self._desk.page(
            "list.html",
            title="Capacity",
            here="/capacity",
            lead="Forecast demand against supply: when something runs short, and what to do.",
            tables=[listed],
            empty="" if reports else "There is no report yet. Make one:",
            command="berth capacity DEMAND",
        )

    def capacity_one(self, report_id: str) -> responses.Response:
        """One capacity report, the same document that `berth capacity --html` writes."""
        headers = {**HEADERS, "Content-Security-Policy": REPORT_POLICY}
        return responses.HTMLResponse(self._report(report_id), headers=headers)

    def _drawn(self, report_id: str) -> str:
        report = self._desk.one(records.CAPACITY_REPORTS, report_id, "capacity report")
        return capacity_report.capacity_html(report, back="/capacity")


def router(desk: Desk) -> fastapi.APIRouter:
    """Return the routes of all pages; they are no part of the OpenAPI document."""
    alarming = AlarmPages(desk)
    pages, planning, running = Pages(desk, alarming), PlanPages(desk), RunPages(desk)
    training = TrainingPages(desk)
    routes = fastapi.APIRouter(include_in_schema=False)
    for path, page in (
        ("/", pages.overview),
        ("/plans", planning.every),
        ("/plans/{plan_id}", planning.one),
        ("/runs", running.every),
        ("/runs/{run_id}", running.one),
        ("/records/{name}", training.one),
        ("/records/{first}/{second}", training.two),
        ("/alarms/{super_alarm_id}", alarming.one),
        ("/capacity", pages.capacity),
        ("/capacity/{report_id}", pages.capacity_one),
        ("/fleet", running.fleet),
    ):
        routes.add_api_route(path, page, methods=["GET", "HEAD"], response_model=None)

    @routes.get("/alarms", response_model=None)
    @routes.head("/alarms", response_model=None)
    def listed(
        level: str = "", state: str = "", pipeline: str = "", text: str = ""
    ) -> responses.Response:
        return alarming.listed(Filter(level=level, state=state, pipeline=pipeline, text=text))

    @routes.get("/live", response_model=None)
    async def live(request: Request) -> responses.Response:
        return await streaming.stream(request, desk)

    @routes.post("/alarms/{super_alarm_id}/acknowledge", response_model=None)
    def acknowledge(
        super_alarm_id: str, who: str = fastapi.Form("", max_length=60)
    ) -> responses.Response:
        return alarming.acknowledge(super_alarm_id, who)

    @routes.post("/alarms/{super_alarm_id}/silence", response_model=None)
    def silence(
        super_alarm_id: str,
        hours: float = fastapi.Form(gt=0, le=MONTH_HOURS),
        because: str = fastapi.Form(min_length=1, max_length=200),
    ) -> responses.Response:
        return alarming.silence(super_alarm_id, hours, because)

    @routes.post("/alarms/{super_alarm_id}/act", response_model=None)
    def act(super_alarm_id: str) -> responses.Response:
        return alarming.act(super_alarm_id)

    _add_judging(routes, alarming)
    return routes


def _add_judging(routes: fastapi.APIRouter, alarming: AlarmPages) -> None:
    """Add the forms by which people judge causes and checks, note, split and merge."""

    @routes.post("/alarms/{super_alarm_id}/feedback", response_model=None)
    def feedback(
        super_alarm_id: str,
        verdict: Literal["right", "wrong"] = fastapi.Form(),
        cause: str = fastapi.Form("", max_length=200),
    ) -> responses.Response:
        return alarming.feedback(super_alarm_id, verdict, cause)

    @routes.post("/alarms/{super_alarm_id}/check-feedback", response_model=None)
    def check_feedback(
        super_alarm_id: str,
        check: Annotated[CheckKind, fastapi.Form()],
        subject: Annotated[str, fastapi.Form(max_length=300)],
        verdict: Annotated[Literal["right", "wrong"], fastapi.Form()],
    ) -> responses.Response:
        return alarming.check_feedback(super_alarm_id, check, subject, verdict)

    @routes.post("/alarms/{super_alarm_id}/note", response_model=None)
    def note(
        super_alarm_id: str, text: str = fastapi.Form(min_length=1, max_length=500)
    ) -> responses.Response:
        return alarming.note(super_alarm_id, text)

    @routes.post("/alarms/{super_alarm_id}/split", response_model=None)
    def split(
        super_alarm_id: str, matcher: str = fastapi.Form(min_length=1, max_length=300)
    ) -> responses.Response:
        return alarming.split(super_alarm_id, matcher)

    @routes.post("/alarms/{super_alarm_id}/merge", response_model=None)
    def merge(
        super_alarm_id: str, other: str = fastapi.Form(min_length=1, max_length=40)
    ) -> responses.Response:
        return alarming.merge(super_alarm_id, other)


class _Static(staticfiles.StaticFiles):
    """Static files; their addresses carry a hash of their content, so they never change."""

    async def get_response(self, path: str, scope: Scope) -> responses.Response:
        """Return a file that may be kept for ever."""
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response


def mount(application: fastapi.FastAPI, sources: Sources) -> None:
    """Add the pages, their errors and their static files to an application."""
    desk = Desk(sources)
    application.router.routes.extend(router(desk).routes)
    application.mount("/static", _Static(directory=FOLDER / "static"))
    failing.install(application, desk)
