"""Commands about runs: apply, status, watch, runs, logs, cancel. They need a running engine."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Sequence, Set
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli import doors, names, recording
from api.cli.frame import ChangingCommand, Command, Talk

if TYPE_CHECKING:
    from api.messages.training import Damaged
    from engine.model.dispatches import Run
    from engine.model.errors import BerthError

RunName = Annotated[
    str,
    typer.Argument(metavar="NAME", help="A run, a pipeline or a plan.", autocompletion=names.runs),
]


def apply(
    context: typer.Context,
    plan: Annotated[
        str, typer.Argument(metavar="PLAN", help="Id of a plan.", autocompletion=names.plans)
    ],
    *,
    again: Annotated[
        bool, typer.Option("--again", help="Run it once more although it was applied before.")
    ] = False,
) -> None:
    """Run a plan. Refuses when the world changed since it was made (exit code 3).

    Example: berth apply p-abcdefgh
    """
    from api.report.phrases import plural
    from api.report.plans import plan_text
    from api.report.statuses import submitted_text

    talk: Talk = context.obj
    with doors.engine(talk) as engine:
        found = engine.stored_plan(plan)
        if talk.dry_run:
            talk.result(plan_text(found, talk.style()))
            return
        tasks = sum(len(spec.tasks) for spec in found.request.pipelines)
        talk.confirm(f"Run {plural(tasks, 'task')} under plan {plan}?")
        # A repeated request with one key starts nothing twice; the plan's own id is the key.
        applied = engine.apply(plan, f"{plan}-{uuid.uuid4().hex}" if again else "")
    if talk.json:
        talk.value(applied)
    elif talk.quiet:
        talk.result("\n".join(run.run_id for run in applied.runs))
    else:
        talk.result(submitted_text(applied.runs, talk.style(), again=applied.again))


def status(
    context: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            help="A run, a pipeline or a plan; all without it.", autocompletion=names.runs
        ),
    ] = "",
) -> None:
    """Show states, forecast ends (P50, P95), and what each waiting task waits for.

    Example: berth status churn
    """
    from api.report.sizes import change_lines
    from api.report.statuses import status_text

    talk: Talk = context.obj
    with doors.engine(talk) as engine:
        now = engine.health().now
        found = engine.status(name)
        sizes = () if talk.json or talk.quiet else engine.sizes()
    if talk.json:
        talk.value(found)
    elif talk.quiet:
        talk.result("\n".join(f"{item.run.run_id} {item.run.state.value}" for item in found))
    else:
        shown = {item.run.pipeline for item in found}
        lines = [line for size in sizes if size.pipeline in shown for line in change_lines(size)]
        talk.result("\n\n".join([*lines, status_text(found, talk.style(), now=now)]))


def watch(
    context: typer.Context,
    name: RunName,
    every: Annotated[float, typer.Option(help="Seconds between looks.", min=0.1)] = 0.5,
) -> None:
    """Follow a run until it ends: live on a terminal, else a line for each change.

    Exit code 1 when the run failed or was cancelled.

    Example: berth watch churn
    """
    from api.cli.watching import follow

    talk: Talk = context.obj
    with doors.engine(talk) as engine:
        failed = follow(talk, engine, name, every)
    if failed:
        raise typer.Exit(1)


def runs(
    context: typer.Context,
    limit: Annotated[int, typer.Option(help="Show so many.", min=1, max=1_000)] = 20,
) -> None:
    """List runs, newest first, and trainings that were started by hand: train, tune, compress.

    Trainings are listed without a running engine too.
    """
    from api.report.experiments import trainings_text
    from api.report.statuses import runs_text

    talk: Talk = context.obj
    store = recording.trainings(talk)
    told = _note(talk, store.damaged().values())
    by_name = {each.training.run_id: each for each in store.recorded(limit)}
    found: Sequence[Run] = ()
    now = time.time()
    if doors.address(talk) or not by_name:
        with doors.engine(talk) as engine:
            now = engine.health().now
            found = engine.runs(limit)
            by_name |= {each.training.run_id: each for each in engine.trainings.newest(limit)}
            # Its data folder may be this one.
            _note(talk, engine.trainings.damaged(), told)
    trained = sorted(by_name.values(), key=lambda each: -each.training.ended_at)[:limit]
    if talk.json:
        talk.value([*found, *(each.training for each in trained)])
    elif talk.quiet:
        every = [*(run.run_id for run in found), *(each.training.run_id for each in trained)]
        talk.result("\n".join(every))
    else:
        texts = [runs_text(found, talk.style(), now=now)] if found or not trained else []
        if trained:
            texts.append(trainings_text(trained, talk.style(), now=now))
        talk.result("\n\n".join(texts))


def _note(
    talk: Talk, faults: Iterable[BerthError | Damaged], told: Set[str] = frozenset()
) -> Set[str]:
    """Say what is wrong with damaged trainings, where it is not told already; return it."""
    notes = {f"note: {fault.message}; {fault.fix}" for fault in faults}
    for note in sorted(notes - told):
        talk.say(note)
    return notes


def logs(
    context: typer.Context,
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run.", autocompletion=names.runs)],
    task: Annotated[str, typer.Argument(help="A task of it.")],
    attempt: Annotated[int, typer.Option(help="Its number; the newest without it.", min=0)] = 0,
) -> None:
    """Print the end of what a task wrote.

    Example: berth logs r-1 train
    """
    from api.report.phrases import printable

    talk: Talk = context.obj
    with doors.engine(talk) as engine:
        text = engine.log(run, task, attempt)
    if talk.json:
        talk.value({"run": run, "task": task, "attempt": attempt, "text": text})
    else:
        talk.result(printable(text).rstrip("\n"))


def cancel(context: typer.Context, run: RunName) -> None:
    """Call off a run, or stop serving the model of one that ended.

    What runs of it is stopped within its cluster's grace period.

    Example: berth cancel r-1
    """
    from api.report.statuses import cancelled_text, cancelling_text

    talk: Talk = context.obj
    with doors.engine(talk) as engine:
        found = engine.run(run)
        serves = any(item.run_id == found.run_id for item in engine.deployments())
        what = cancelling_text(found, serves=serves)
        if talk.dry_run:
            talk.result(f"This would {what}.")
            return
        talk.confirm(f"{what[0].upper()}{what[1:]}?")
        cancelled = engine.cancel(run)
        now = engine.health().now
    if talk.json:
        talk.value(cancelled)
    elif talk.quiet:
        talk.result(cancelled.run_id)
    else:
        talk.result(cancelled_text(cancelled, talk.style(), now=now))


COMMANDS = {
    "apply": (ChangingCommand, apply),
    "status": (Command, status),
    "watch": (Command, watch),
    "runs": (Command, runs),
    "logs": (Command, logs),
    "cancel": (ChangingCommand, cancel),
}
