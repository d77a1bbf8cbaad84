"""Commands about what was trained: compare, reproduce, export."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli import doors, names, recording
from api.cli.frame import Command, Talk

if TYPE_CHECKING:
    from executors.training.tracking.experiments import Experiment
    from executors.training.tracking.exporting import Exported
    from executors.training.tracking.reproducing import Again


def compare(
    context: typer.Context,
    first: Annotated[
        str, typer.Argument(metavar="RUN", help="A run or a training.", autocompletion=names.runs)
    ],
    second: Annotated[
        str, typer.Argument(metavar="OTHER", help="Another run.", autocompletion=names.runs)
    ],
) -> None:
    """Hold two runs' trainings beside each other: metrics, data, code, parameters, environment.

    A training outside a pipeline counts as a run.

    Example: berth compare r-1 r-2
    """
    from api.report.experiments import compared_text

    talk: Talk = context.obj
    found = (_experiments(talk, first), _experiments(talk, second))
    if talk.json:
        talk.value([*found[0], *found[1]])
    else:
        talk.result(compared_text(first, second, found, talk.style()))


def reproduce(
    context: typer.Context,
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="A run or a training.", autocompletion=names.runs)
    ],
    task: Annotated[str, typer.Option(help="Only this task.")] = "",
    minutes: Annotated[float, typer.Option(help="Most minutes for a task.", min=0.1)] = 60.0,
) -> None:
    """Do a run's trainings again here, from what was kept of them. Exit code 1 when one differs.

    Example: berth reproduce r-1
    """
    from engine.model.dispatches import AttemptState
    from engine.model.errors import NotFoundError
    from executors.training.tracking import reproducing

    talk: Talk = context.obj
    if _is_training(run):
        talk.say(f"training {run} again ...")
        _tell_again(talk, [recording.trainings(talk).again(run, seconds_max=60 * minutes)])
        return
    home = doors.settings_of(talk).home
    with doors.either(talk) as door:
        trained = {one.task for one in door.experiments(run)}
        attempts = {
            a.task: a.attempt_id
            for a in door.attempts(run)
            if a.state is AttemptState.SUCCEEDED and a.task in trained and task in {"", a.task}
        }
    if not attempts:
        message = f"{run} has no training to do again" + (f" called {task!r}" if task else "")
        raise NotFoundError(message, fix=f"berth status {run}")
    found = []
    for name, attempt in attempts.items():
        talk.say(f"training {name} again ...")
        found.append(reproducing.again(home, attempt, seconds_max=60 * minutes))
    _tell_again(talk, found)


def _tell_again(talk: Talk, found: Sequence[Again]) -> None:
    """Print trainings that were done again; exit code 1 when one differs."""
    from api.report.experiments import again_text

    if talk.json:
        import json

        content = [
            {"task": a.task, "before": dict(a.before), "after": dict(a.after), "same": a.reproduced}
            for a in found
        ]
        talk.result(json.dumps(content, sort_keys=True))
    else:
        talk.result(again_text(found, talk.style()))
    if not all(one.reproduced for one in found):
        raise typer.Exit(1)


def export(
    context: typer.Context,
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="A run or a training.", autocompletion=names.runs)
    ],
    to: Annotated[
        str, typer.Option(metavar="URL", help="MLflow's tracking server [as in the settings].")
    ] = "",
) -> None:
    """Export a run's trainings to MLflow; those that are there already stay as they are.

    Example: berth export r-1 --to http://127.0.0.1:5000
    """
    talk: Talk = context.obj
    found: Sequence[Exported]
    if _is_training(run):
        found = (recording.export(talk, run, to),)
    elif to:
        with doors.local(talk) as application:
            found = application.export(run, to)
    else:
        with doors.either(talk) as door:
            found = door.export(run)
    if talk.json:
        talk.value(found)
    elif not found:
        talk.result(f"{run} has no training to export.")
    else:
        talk.result("\n".join(one.url if talk.quiet else f"{one.task}  {one.url}" for one in found))


def _is_training(name: str) -> bool:
    """Whether a name is that of a training outside a pipeline."""
    from executors.training.tracking.trainings import PREFIX

    return name.startswith(PREFIX)


def _experiments(talk: Talk, name: str) -> Sequence[Experiment]:
    """Return the records of a run, or of a training of this data folder, else of the engine's."""
    from engine.model.errors import NotFoundError

    if _is_training(name):
        try:
            return (recording.trainings(talk).experiment(name),)
        except NotFoundError:
            if not doors.address(talk):
                raise
    with doors.either(talk) as door:
        return door.experiments(name)


COMMANDS = {
    "compare": (Command, compare),
    "reproduce": (Command, reproduce),
    "export": (Command, export),
}
