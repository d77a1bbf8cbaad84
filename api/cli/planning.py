"""Commands about plans: check, plan, explain, diff, what-if. They change nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli import doors, names
from api.cli.frame import FleetCommand, SolvingCommand, Talk

if TYPE_CHECKING:
    from api.client.remote import Remote
    from api.messages.answers import PlanAnswer
    from api.messages.questions import Document
    from api.wiring import Application
    from engine.model.plans import Mode

INFEASIBLE = 4
_FILES = frozenset({".yaml", ".yml", ".json"})

Files = Annotated[
    list[Path], typer.Argument(metavar="FILE...", help="Pipelines in YAML, one a file.")
]
PlanName = Annotated[
    str, typer.Argument(metavar="PLAN", help="Id of a plan.", autocompletion=names.plans)
]


def check(context: typer.Context, files: Files) -> None:
    """Look for faults of form, units, names, conditions and fleet; all at once.

    Example: berth check churn.yaml
    """
    from api.messages.questions import CheckQuestion
    from api.report.phrases import plural
    from api.report.tables import following

    talk: Talk = context.obj
    with doors.either(talk) as door:
        checked = door.check(CheckQuestion(documents=_documents(talk, files)))
    if talk.json:
        talk.value(checked)
        return
    for note in checked.notes:
        talk.say(f"note: {note}")
    for path, spec in zip(files, checked.pipelines, strict=True):
        talk.result(f"{path}: {spec.name}, {plural(len(spec.tasks), 'task')}, no fault")
    if not talk.quiet:
        talk.result(following(*(f"berth plan {path}" for path in files[:1])))


def plan(  # noqa: PLR0913 - each is an option of the command
    context: typer.Context,
    files: Files,
    *,
    mode: Annotated[
        str, typer.Option(help="`least-cost` keeps every SLA; `most-sla` keeps the budget.")
    ] = "least-cost",
    seed: Annotated[int | None, typer.Option(help="Seed of all sampling.", min=0)] = None,
    as_of: Annotated[
        str, typer.Option(help="Plan as if it were this ISO instant, such as 2026-11-22T02:00Z.")
    ] = "",
    horizon: Annotated[int, typer.Option(help="Hours planned ahead.", min=1, max=744)] = 24,
    whole: Annotated[
        bool, typer.Option("--whole", help="Place pipelines with all their tasks or not at all.")
    ] = False,
    budget: Annotated[
        str, typer.Option(help="Most that all of it may cost, as `100 USD`; with most-sla.")
    ] = "",
    show_defaults: Annotated[
        bool, typer.Option("--show-defaults", help="Also print what was filled in.")
    ] = False,
    show_profile: Annotated[
        str,
        typer.Option(metavar="TASK", help="Also print the profile of a task with its evidence."),
    ] = "",
) -> None:
    """Forecast what tasks need and choose where and when they run. Nothing is changed.

    Ctrl-C ends the search with the best plan so far.

    Example: berth plan churn.yaml --mode most-sla
    """
    from api.cli import profiles
    from api.cli.progress import watched
    from api.messages.questions import PlanQuestion
    from api.report.profiles import profiles_of
    from engine.documents import read_amount
    from engine.model.errors import InfeasibleError

    talk: Talk = context.obj
    documents = _documents(talk, files)
    question = PlanQuestion(
        documents=documents,
        mode=_mode(mode),
        seed=seed,
        as_of=instant(as_of) if as_of else None,
        horizon_hours=horizon,
        whole=whole,
        budget_micro_dollars=read_amount(budget, name="--budget") if budget else None,
    )
    if show_defaults:
        _print_defaults(talk, documents)
    talk.say("planning ...")
    with doors.either(talk) as door:
        try:
            answer = watched(talk, door, lambda watch: door.plan(question, watch=watch))
        except InfeasibleError:
            # What a task is thought to need is what people look for when nothing fits it.
            if show_profile:
                profiles.show(talk, profiles.unplanned(door, question, show_profile))
            raise
    if show_profile:
        profiles.show(talk, profiles_of(answer.plan, show_profile))
    if not (show_profile and talk.json):
        _print_plan(talk, answer)


def explain(
    context: typer.Context,
    plan: PlanName,
    task: Annotated[str, typer.Argument(help="One task; all of them without it.")] = "",
) -> None:
    """Say why tasks run where they do, what else was possible, and what would change it.

    Example: berth explain p-abcdefgh train
    """
    from api.report.explanations import explanation_text, explanations_of

    talk: Talk = context.obj
    with doors.either(talk) as door:
        found = door.stored_plan(plan)
        waits = _waits(door, plan, task) if door.is_engine else ""
    text = explanation_text(found, task, talk.style(), waits=waits)
    if talk.json:
        talk.value(explanations_of(found, task))
        return
    talk.result(text)


def diff(
    context: typer.Context,
    plan: Annotated[str, typer.Argument(help="Id of a plan; the newest one without it.")] = "",
    against: Annotated[
        str, typer.Option(help="Another plan to compare with; what runs without it.")
    ] = "",
) -> None:
    """Compare a plan with what runs, or with another plan.

    Example: berth diff p-abcdefgh
    """
    from api.report.diffs import diff_text
    from engine.model.errors import NotFoundError

    talk: Talk = context.obj
    with doors.either(talk) as door:
        newest = [item.plan_id for item in door.plans(1)]
        if not plan and not newest:
            raise NotFoundError("there is no plan yet", fix="berth plan FILE makes one")
        found = door.diff(plan or newest[0], against)
    if talk.json:
        talk.value(found)
    else:
        talk.result(diff_text(found, talk.style()))


def what_if(
    context: typer.Context,
    plan: Annotated[
        str,
        typer.Argument(
            metavar="PLAN", help="Id of a plan, or a pipeline's file.", autocompletion=names.plans
        ),
    ],
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="KEY=VALUE: any key of the pipeline's file.")
    ] = None,
    cluster: Annotated[
        list[str] | None, typer.Option(help="NAME=down or NAME=up.", autocompletion=names.clusters)
    ] = None,
    demand: Annotated[str, typer.Option(help="A factor on all demand: x1.5.")] = "",
    price: Annotated[
        list[str] | None,
        typer.Option(help="CLUSTER/POOL=2 USD per hour; CLUSTER=x1.2 for all of its pools."),
    ] = None,
    sweep: Annotated[
        str,
        typer.Option(help="KEY=A..B or KEY=A..B/STEP, such as deadline=02:00..08:00/30m."),
    ] = "",
) -> None:
    """Make the same plan under a change, or for a row of values. Nothing is changed.

    Example: berth what-if p-abcdefgh --cluster eu-1=down --set deadline="in 2 h"
    """
    from api.cli import sweeping
    from api.cli.progress import watched
    from api.messages.questions import WhatIfQuestion
    from api.report.what_ifs import what_if_text
    from engine.model.errors import Fault, InvalidInputError

    talk: Talk = context.obj
    changes = (
        *(set_ or ()),
        *(f"cluster:{item}" for item in cluster or ()),
        *([f"demand={demand}"] if demand else ()),
        *(f"price:{item}" for item in price or ()),
    )
    if not changes and not sweep:
        fix = "add --set, --cluster, --demand, --price or --sweep"
        fault = Fault(code="S021", message="no change was named", fix=fix)
        raise InvalidInputError("what-if", [fault])
    with doors.either(talk) as door:
        asked = _plan_of(talk, door, plan)
        if sweep:
            sweeping.sweep(talk, door, asked, changes, sweep)
            return
        question = WhatIfQuestion(plan_id=asked, changes=changes)
        answer = watched(talk, door, lambda watch: door.what_if(question, watch=watch))
        difference = door.diff(answer.plan.plan_id, asked)
        before = door.stored_plan(asked)
    if not talk.json and not talk.quiet:
        talk.result(what_if_text(before, answer.plan, difference, talk.style()) + "\n")
    _print_plan(talk, answer)


def _plan_of(talk: Talk, door: Remote | Application, plan: str) -> str:
    """Return the id of a plan; one that is made of a pipeline's file first, if that is named."""
    from api.messages.questions import PlanQuestion

    path = Path(plan)
    if path.suffix not in _FILES:
        return plan
    made = door.plan(PlanQuestion(documents=_documents(talk, [path]))).plan.plan_id
    talk.say(f"{path} is planned as {made}")
    return made


def _documents(talk: Talk, files: list[Path]) -> tuple[Document, ...]:
    """Return files as documents; those of Kubeflow and Argo as ours, told what does not map."""
    from dataclasses import replace

    from api.cli.importing import tell
    from api.client.client import file_document
    from engine.documents import foreign

    documents: list[Document] = []
    for path in files:
        document = file_document(path)
        if foreign.is_foreign(document.text):
            found = foreign.import_pipeline(document.text, name=document.name)
            tell(talk, found, path)
            document = replace(document, text=found.text)
        documents.append(document)
    return tuple(documents)


def _print_plan(talk: Talk, answer: PlanAnswer) -> None:
    """Print a plan; one that leaves tasks out ends with the exit code for it."""
    from api.report.plans import plan_text

    if talk.json:
        talk.result(answer.document)
    elif talk.quiet:
        talk.result(answer.plan.plan_id)
    else:
        talk.result(plan_text(answer.plan, talk.style(), solved_seconds=answer.solved_seconds))
    if answer.plan.placement.unplaced:
        raise typer.Exit(INFEASIBLE)


def _print_defaults(talk: Talk, documents: tuple[Document, ...]) -> None:
    """Print what is filled in for keys that are left out."""
    from api.report.tables import Column, table
    from engine.documents import filled_defaults

    columns = (Column(title="KEY"), Column(title="FILLED IN"))
    for document in documents:
        filled = filled_defaults(document.text, name=document.name)
        rows = [(item.path, item.value) for item in filled]
        text = table(columns, rows, talk.style()) + "\n"
        if talk.json:
            talk.say(text)
        else:
            talk.result(text)


def _waits(door: Remote | Application, plan: str, task: str) -> str:
    """Return what a task of a run under this plan waits for, as a sentence; "" when it does not."""
    from api.report.statuses import waiting_text

    for status in door.status(""):
        for item in status.tasks:
            if status.run.plan_id == plan and item.task == task:
                return waiting_text(item)
    return ""


def _mode(text: str) -> Mode:
    from engine.model.errors import Fault, InvalidInputError
    from engine.model.plans import Mode

    try:
        return Mode(text)
    except ValueError:
        known = tuple(mode.value for mode in Mode)
        message = f"`--mode` is {text!r}"
        fault = Fault(code="S005", message=message, candidates=known, fix="use one of these")
        raise InvalidInputError("the command line", [fault]) from None


def instant(text: str) -> float:
    """Return an ISO instant as seconds; one without a zone is in UTC."""
    from datetime import UTC, datetime

    from engine.model.errors import Fault, InvalidInputError

    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        message = f"`--as-of` is {text!r}, which is no ISO instant"
        fault = Fault(code="S006", message=message, fix="write it as 2026-11-22T02:00Z")
        raise InvalidInputError("the command line", [fault]) from None
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


COMMANDS = {
    "check": (FleetCommand, check),
    "plan": (SolvingCommand, plan),
    "explain": (FleetCommand, explain),
    "diff": (FleetCommand, diff),
    "what-if": (SolvingCommand, what_if),
}
