"""Routes about plans: check, plan, explain, compare, what-if, sweep, apply; and capacity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import fastapi
from starlette.responses import Response

from api.client.remote import SOLVED_HEADER
from api.messages import answers, questions
from api.report.explanations import explanations_of
from api.rest import answering, bodies
from engine.documents import MICRO_DOLLARS_MAX
from engine.model.capacity import CapacityReport
from engine.model.errors import Fault, InvalidInputError
from engine.model.identifiers import MicroDollars
from engine.model.plans import Explanation, Mode, Plan
from engine.planning import PlanDiff, Sweep

router = answering.router("plans")

Raw = Annotated[bodies.RawBody, fastapi.Depends(bodies.raw_body)]
_ONE_PIPELINE = {"$ref": "/schema/pipeline.json"}


def _body(kind: str) -> dict[str, Any]:
    """Return how OpenAPI shall show a body that is a question, one pipeline, or YAML."""
    question = {"$ref": f"#/components/schemas/{kind}"}
    return {
        "requestBody": {
            "required": True,
            "content": {
                answering.JSON: {"schema": {"oneOf": [question, {"type": "object"}]}},
                "application/yaml": {"schema": {"type": "string"}},
            },
        }
    }


class Naming:
    """What errors call a document, and the folder where its relative paths start."""

    def __init__(self, name: str = "the body", folder: str = "") -> None:
        self.name = name
        self.folder = folder


class Choices:
    """Choices about a plan that stand in the query when the body is a pipeline itself."""

    def __init__(
        self,
        naming: Annotated[Naming, fastapi.Depends()],
        mode: Mode = Mode.LEAST_COST,
        seed: Annotated[int | None, fastapi.Query(ge=0)] = None,
        as_of: float | None = None,
        horizon_hours: Annotated[int, fastapi.Query(ge=1, le=744)] = 24,
        whole: Annotated[bool, fastapi.Query()] = False,  # noqa: FBT002 - FastAPI calls it
        budget_micro_dollars: Annotated[
            int | None, fastapi.Query(ge=0, le=MICRO_DOLLARS_MAX)
        ] = None,
    ) -> None:
        self.mode = mode
        self.seed = seed
        self.as_of = as_of
        self.horizon_hours = horizon_hours
        self.whole = whole
        self.budget = None if budget_micro_dollars is None else MicroDollars(budget_micro_dollars)
        self.name = naming.name
        self.folder = naming.folder

    def document(self, raw: bodies.RawBody) -> questions.Document | None:
        """Return the one pipeline that a body is, or None when it is a question."""
        if raw.is_yaml:
            return questions.Document(name=self.name, text=raw.text(), folder=self.folder)
        mapping: Mapping[str, Any] = raw.mapping()
        if "documents" in mapping:
            return None
        return questions.Document(name=self.name, mapping=mapping, folder=self.folder)


Chosen = Annotated[Choices, fastapi.Depends()]


@router.post("/v1/check", response_model=answers.Checked)
def check(application: answering.Served, raw: Raw, choices: Chosen) -> Response:
    """Return pipelines as they were understood, or all their faults. Nothing is kept."""
    document = choices.document(raw)
    if document is None:
        question = raw.read(questions.CheckQuestion)
    else:
        question = questions.CheckQuestion(documents=(document,))
    return answering.value(application.check(question))


@router.post("/v1/plans", status_code=201, response_model=Plan, openapi_extra=_body("Plan"))
def make_plan(application: answering.Served, raw: Raw, choices: Chosen) -> Response:
    """Make a plan. Nothing but the plan is kept; nothing runs.

    The body is a pipeline in YAML or JSON, or `{"documents": [...], "mode": ...}`.
    """
    document = choices.document(raw)
    if document is None:
        question = raw.read(questions.PlanQuestion)
    else:
        question = questions.PlanQuestion(
            documents=(document,),
            mode=choices.mode,
            seed=choices.seed,
            as_of=choices.as_of,
            horizon_hours=choices.horizon_hours,
            whole=choices.whole,
            budget_micro_dollars=choices.budget,
        )
    return _planned(application.plan(question))


@router.get("/v1/plans", response_model=list[answers.PlanSummary])
def list_plans(
    application: answering.Served, limit: Annotated[int, fastapi.Query(ge=1, le=1_000)] = 100
) -> Response:
    """Return the newest plans, a line each."""
    return answering.values(application.plans(limit))


@router.get("/v1/plans/{plan_id}", response_model=Plan)
def one_plan(application: answering.Served, plan_id: str) -> Response:
    """Return a plan."""
    return answering.value(application.stored_plan(plan_id))


@router.get("/v1/plans/{plan_id}/explain", response_model=list[Explanation])
def explain(application: answering.Served, plan_id: str, task: str = "") -> Response:
    """Return every candidate of a task (or of all tasks) with its verdict."""
    return answering.values(explanations_of(application.stored_plan(plan_id), task))


@router.get("/v1/plans/{plan_id}/diff", response_model=PlanDiff)
def diff(application: answering.Served, plan_id: str, against: str = "") -> Response:
    """Compare a plan with another one, or with what runs."""
    return answering.value(application.diff(plan_id, against))


@router.post("/v1/plans/{plan_id}/apply", response_model=answers.Applied)
def apply(
    application: answering.Served,
    plan_id: str,
    idempotency_key: Annotated[str, fastapi.Header(max_length=200)] = "",
) -> Response:
    """Start the runs of a plan; repeated with the same key, name the runs it started."""
    return answering.value(application.apply(plan_id, idempotency_key))


@router.post("/v1/what-if", status_code=201, response_model=Plan)
def what_if(application: answering.Served, raw: Raw) -> Response:
    """Make the same plan under changes; the body is `{"plan_id": ..., "changes": [...]}`."""
    return _planned(application.what_if(raw.read(questions.WhatIfQuestion)))


@router.post("/v1/sweep", response_model=Sweep)
def sweep(application: answering.Served, raw: Raw) -> Response:
    """Make the same plan for each of some values, and say where the answer changes.

    The body is `{"plan_id": ..., "sweep": "deadline=02:00..08:00/30m", "changes": [...]}`; the
    plans of all values that are possible are kept.
    """
    return answering.value(application.sweep(raw.read(questions.SweepQuestion)))


@router.post("/v1/capacity", status_code=201, response_model=CapacityReport)
def make_capacity(application: answering.Served, raw: Raw) -> Response:
    """Hold forecast demand against supply and keep the report."""
    if raw.is_yaml:
        fault = Fault(code="S001", message="must be JSON", fix="send application/json")
        raise InvalidInputError("the body", [fault])
    report = application.capacity(raw.read(questions.CapacityQuestion))
    return answering.value(report, status=201)


@router.get("/v1/capacity/{report_id}", response_model=CapacityReport)
def one_capacity(application: answering.Served, report_id: str) -> Response:
    """Return a capacity report."""
    return answering.value(application.capacity_report(report_id))


def _planned(answer: answers.PlanAnswer) -> Response:
    headers = {
        "Location": f"/v1/plans/{answer.plan.plan_id}",
        SOLVED_HEADER: f"{answer.solved_seconds:.3f}",
    }
    return answering.text(answer.document, status=201, headers=headers)
