"""The command that searches hyper-parameters: tune. It needs no engine.

In a task of a pipeline (`command: [berth, tune, ...]`) it also writes the small outputs that gates
and conditions read.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli import recording
from api.cli.frame import Command, Talk
from api.cli.training import placing, wanted_of

if TYPE_CHECKING:
    from executors.training.trials.hosts import Host
    from executors.training.trials.standing import Records
    from executors.training.trials.study import Plan


def _searching(
    *,
    trials: Annotated[int, typer.Option(help="Configurations.", min=1, max=100_000)] = 27,
    epochs: Annotated[int, typer.Option(help="Of a trial that is never stopped.", min=1)] = 9,
    eta: Annotated[int, typer.Option(help="The best of so many go on; 1 stops nobody.", min=1)] = 3,
    sampler: Annotated[str, typer.Option(help="`random`, or one of Optuna: `tpe`.")] = "random",
    seed: Annotated[int, typer.Option(help="Seed of all draws.")] = 0,
    workers: Annotated[int, typer.Option(help="Trials at once.", min=1, max=256)] = 1,
    epoch_minutes: Annotated[float, typer.Option(help="Most minutes of an epoch.")] = 60.0,
) -> None:
    """Declare how a search goes about it."""


def tune(
    context: typer.Context,
    objective: Annotated[
        str, typer.Argument(metavar="FILE.py:FUNCTION", help="What is tried; or MODULE:FUNCTION.")
    ],
    space: Annotated[
        list[str], typer.Option(help="A parameter: `lr=0.001..1 log`, `hidden=32|64`.")
    ],
    folder: Annotated[Path, typer.Option(help="Where the study is kept.")] = Path("study"),
    *,
    against_all: Annotated[
        bool, typer.Option("--against-all", help="Also run without stopping anybody, to compare.")
    ] = False,
) -> None:
    """Search hyper-parameters: trials as processes or Jobs, the worse ones stopped early.

    Run again after any kill, it goes on where it was.

    Example: berth tune fit.py:objective --space "lr=0.001..1 log" --space "hidden=32|64"
    """
    import time
    from dataclasses import replace

    from executors.training.trials.study import Plan

    talk: Talk = context.obj
    asked, eta = talk.options, int(talk.options["eta"])
    plan = Plan(
        objective=objective,
        space=tuple(space),
        trials=asked["trials"],
        epochs=asked["epochs"],
        eta=eta if eta > 1 else None,
        sampler=asked["sampler"],
        seed=asked["seed"],
        epoch_seconds_max=60 * asked["epoch_minutes"],
    )
    began = time.time()
    found = {"halving" if eta > 1 else "no pruning": _search(talk, folder, plan)}
    if against_all and eta > 1:
        whole = replace(plan, eta=None)
        found["no pruning"] = _search(talk, folder / "all", whole)
    outputs = _tell(talk, found)
    _keep(talk, plan, folder, outputs, began)


def _keep(
    talk: Talk, plan: Plan, folder: Path, outputs: Mapping[str, object], began: float
) -> None:
    """Record a search: its plan, and what its best trial left."""
    asked = {"space": list(plan.space), "trials": plan.trials, "epochs": plan.epochs}
    asked |= {"eta": plan.eta, "sampler": plan.sampler, "seed": plan.seed}
    place = folder / "trials" / str(outputs["best_trial"])
    space = [word for each in plan.space for word in ("--space", each)]
    done = recording.Done(
        name=Path(plan.objective.rpartition(":")[0]).stem,
        words=["tune", plan.objective, *space, *recording.options(talk)],
        began=began,
        outputs=outputs,
        files=sorted(place.iterdir()) if place.is_dir() else (),
        said={"parameters": asked},
    )
    recording.keep(talk, done)


def _tell(talk: Talk, found: Mapping[str, Records]) -> dict[str, object]:
    """Print what searches found, the first of them the one that counts; return its best.

    Raises:
        FinalError: when no trial came to a loss.
    """
    from engine.model.errors import FinalError
    from executors.training.trials import comparing

    best = next(iter(found.values())).best()
    if best is None:
        reasons = sorted({r.reason for r in next(iter(found.values())).trials.values() if r.reason})
        fix = f"the trials said: {'; '.join(reasons[:3])}"
        raise FinalError("no trial came to a loss", fix=fix)
    at_best = min(best.values.values(), key=lambda values: values["loss"])
    outputs: dict[str, object] = {
        "quality": at_best.get("accuracy", -at_best["loss"]),
        "loss_first": best.values[min(best.values)]["loss"],
        "loss_last": at_best["loss"],
        "best_trial": best.number,
        **{f"best.{name}": value for name, value in best.parameters.items()},
    }
    if talk.json:
        import json

        talk.result(json.dumps(outputs, sort_keys=True))
    elif talk.quiet:
        talk.result(str(best.number))
    else:
        parameters = ", ".join(f"{name} {value}" for name, value in best.parameters.items())
        text = [comparing.comparison(found), comparing.learning_curves(next(iter(found.values())))]
        talk.result("\n\n".join([*text, f"Best: trial {best.number} with {parameters}"]))
    return outputs


def _search(talk: Talk, folder: Path, plan: Plan) -> Records:
    """Run a study, telling of every trial that fails."""
    import time

    from executors.training.trials.study import Study

    def watch(event: Mapping[str, object]) -> None:
        if event["event"] == "ended" and event.get("reason"):
            talk.say(f"trial {event['trial']}: {event['reason']}")

    workers = int(talk.options["workers"])
    with Study(folder, plan, clock=time.monotonic) as study:
        if not talk.options["on"]:
            return study.run(workers, watch=watch)
        with _cluster(talk, folder, plan) as hosting:
            return study.run(workers, watch=watch, hosting=hosting)


def _cluster(
    talk: Talk, folder: Path, plan: Plan
) -> contextlib.AbstractContextManager[Callable[[], Host]]:
    """Return what makes hosts of trials on the cluster that is asked for."""
    from api.cli import doors
    from api.wiring import trial_places

    settings, wanted = doors.settings_of(talk), wanted_of(talk)
    return trial_places.on_cluster(settings, folder, plan.objective, wanted, talk.say)


class _Search(Command):
    """A command that searches, with the options of that."""

    declares = staticmethod(_searching)
    declares_more = staticmethod(placing)


COMMANDS = {"tune": (_Search, tune)}
