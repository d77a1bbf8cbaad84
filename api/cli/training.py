"""Commands that train here: tune, train, compress. They need no engine.

In a task of a pipeline (`command: [berth, tune, ...]`) they also write the small outputs that gates
and conditions read.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.frame import Command, Talk

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


def _placing(
    *,
    on: Annotated[str, typer.Option(help="A Kubernetes cluster: every trial is a Job.")] = "",
    pool: Annotated[str, typer.Option(help="Its pool; the only one by default.")] = "",
    cpu: Annotated[float, typer.Option(help="Cores of a trial there.", min=0.01)] = 1.0,
    memory_gib: Annotated[float, typer.Option(help="GiB of a trial there.", min=0.05)] = 2.0,
    listen: Annotated[
        str, typer.Option(help="HOST:PORT where Jobs leave results; a free port by default.")
    ] = "",
    artifacts_url: Annotated[str, typer.Option(help="How Jobs reach that.")] = "",
) -> None:
    """Declare where trials run."""


def _working(
    *,
    workers: Annotated[int, typer.Option(help="Processes on this machine.", min=1, max=512)] = 1,
    checkpoint_steps: Annotated[int, typer.Option(help="Steps between checkpoints.", min=1)] = 100,
    memory: Annotated[int, typer.Option(help="MiB for a pass, to find its samples.")] = 1024,
    minutes: Annotated[float, typer.Option(help="Most minutes of it.", min=0.01)] = 1440.0,
    nodes: Annotated[int, typer.Option(help="Machines that train together.", min=1)] = 1,
    address: Annotated[str, typer.Option(help="HOST:PORT of the first of several.")] = "",
) -> None:
    """Declare how workers train together."""


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
    found = {"halving" if eta > 1 else "no pruning": _search(talk, folder, plan)}
    if against_all and eta > 1:
        whole = replace(plan, eta=None)
        found["no pruning"] = _search(talk, folder / "all", whole)
    _tell(talk, found)


def _tell(talk: Talk, found: Mapping[str, Records]) -> None:
    """Print what searches found, the first of them the one that counts, and hand its best on."""
    from executors.training.trials import comparing

    best = next(iter(found.values())).best()
    if best is None:
        reasons = sorted({r.reason for r in next(iter(found.values())).trials.values() if r.reason})
        _refuse("no trial came to a loss", f"the trials said: {'; '.join(reasons[:3])}")
        return
    at_best = min(best.values.values(), key=lambda values: values["loss"])
    outputs = {
        "quality": at_best.get("accuracy", -at_best["loss"]),
        "loss_first": best.values[min(best.values)]["loss"],
        "loss_last": at_best["loss"],
        "best_trial": best.number,
        **{f"best.{name}": value for name, value in best.parameters.items()},
    }
    _hand_on(outputs)
    if talk.json:
        import json

        talk.result(json.dumps(outputs, sort_keys=True))
    elif talk.quiet:
        talk.result(str(best.number))
    else:
        parameters = ", ".join(f"{name} {value}" for name, value in best.parameters.items())
        text = [comparing.comparison(found), comparing.learning_curves(next(iter(found.values())))]
        talk.result("\n\n".join([*text, f"Best: trial {best.number} with {parameters}"]))


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
    from engine.model.resources import Resources

    asked = talk.options
    wanted = trial_places.Wanted(
        cluster=asked["on"],
        pool=asked["pool"],
        limits=Resources(cpu_cores=asked["cpu"], memory_gib=asked["memory_gib"]),
        listen=asked["listen"],
        url=asked["artifacts_url"],
    )
    settings = doors.settings_of(talk)
    return trial_places.on_cluster(settings, folder, plan.objective, wanted, talk.say)


def train(
    context: typer.Context,
    program: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE.py[:FUNCTION]",
            help="A recipe, a script with arguments, or `arima`, `transformer`, `graph`.",
        ),
    ],
    folder: Annotated[Path, typer.Option(help="For checkpoints and metrics.")] = Path("training"),
    data: Annotated[
        Path | None, typer.Option(help="What `arima`, `transformer` or `graph` learns from.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="One of its settings: `season=24`.")
    ] = None,
    *,
    probe: Annotated[
        bool, typer.Option("--probe", help="Only say whether so many workers pay.")
    ] = False,
) -> None:
    """Train with several workers by torchrun (extra `torch`); go on from the last checkpoint.

    `arima`, `transformer` and `graph` train a model of operations instead: the folder is then a
    model's, for `berth model init`.

    Example: berth train net.py:recipe --workers 2
    """
    from executors.training.parallel import launch, metrics, prediction

    talk: Talk = context.obj
    if data is not None or settings:
        _train_template(talk, program, folder, data, settings or [])
        return
    asked, workers = talk.options, int(talk.options["workers"])
    start = launch.Start(workers=workers, nodes=asked["nodes"], address=asked["address"])
    seconds_max = 60 * asked["minutes"]
    is_recipe = ":" in program[0]
    if probe and is_recipe:
        words = launch.recipe_program(program[0], folder, ["--probe"])
        _ended(launch.run(start, words, folder, seconds_max=seconds_max), folder)
        found = prediction.read(folder)
        said = "pay" if found.pays else "do not pay"
        talk.result(
            f"{workers} workers {said}: about {found.speed_up:.2f} times one. A step takes one "
            f"{1e3 * found.alone_seconds:.1f} ms, each of them {1e3 * found.together_seconds:.1f} "
            f"ms and {1e3 * found.exchange_seconds:.1f} ms of exchange."
        )
        return
    options = [
        f"--checkpoint-steps={asked['checkpoint_steps']}",
        f"--memory-mib={asked['memory']}",
    ]
    words = launch.recipe_program(program[0], folder, options) if is_recipe else program
    _ended(launch.run(start, words, folder, seconds_max=seconds_max), folder)
    lines = metrics.read(folder / metrics.NAME)
    if not lines:
        talk.result(f"done; {folder / 'log.txt'} has what it said")
        return
    first, last = lines[0]["loss"], lines[-1]["loss"]
    _hand_on({"quality": -last, "loss_first": first, "loss_last": last, "steps": len(lines)})
    talk.result(f"{len(lines)} steps by {workers} workers: loss {first:.4f} to {last:.4f}")


def _train_template(
    talk: Talk, program: list[str], folder: Path, data: Path | None, given: list[str]
) -> None:
    """Train a model of operations, and write it as the folder of a model."""
    from api.report.tables import following
    from executors.tasks.context import TaskError
    from executors.training.operations import folder as folders
    from executors.training.operations import template

    if len(program) != 1 or program[0] not in template.TEMPLATES:
        known = ", ".join(sorted(template.TEMPLATES))
        _refuse(f"{' '.join(program)!r} takes no `--data` or `--set`", f"only {known} do")
    if data is None or not data.exists():
        _refuse(f"there is no data at {str(data)!r}", "name it with `--data FILE`")
        return
    values: dict[str, str | int | float | bool] = {}
    for each in given:
        key, _, value = each.partition("=")
        values[key] = value
    seed = str(values.pop("seed", "0"))
    if not seed.isdigit():
        _refuse(f"the seed is {seed!r}", "give a whole number: `--set seed=7`")
    order = template.Order(source=data, settings=values, seed=int(seed))
    try:
        trained = template.train(template.Template(program[0]), order)
    except TaskError as error:
        _refuse(str(error), "see docs/how-to/train.md")
        return
    outputs = trained.outputs()
    _hand_on(outputs)
    name = folder.absolute().name
    folders.write(trained, folder, name)
    if talk.json:
        import json

        talk.result(json.dumps(outputs, sort_keys=True))
        return
    said = [
        f"quality  {trained.quality:.3f}  ({trained.quality_name})",
        f"beside   {trained.baseline:.3f}  ({trained.baseline_name})",
        f"{folder} is written: {trained.file}, {len(trained.weights) / 1000:.0f} kB.",
    ]
    steps = (f"berth model init {name} --folder {folder}", f"cd {folder}")
    more = following(*steps, f"berth model add {trained.file}", "berth model push")
    talk.result(str(folder) if talk.quiet else "\n".join([*said, "", more]))


def _ended(code: int, folder: Path) -> None:
    """Raise what a training that did not end well said last."""
    from executors.training.parallel import launch

    if not code:
        return
    log = folder / "log.txt"
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    said = lines[-1] if lines else "it said nothing"
    if code == launch.TOO_LONG:
        said = "it took longer than it may; run it again to go on from its checkpoint"
    _refuse(f"the training ended with {code}: {said}", f"{log} has all of it")


def compress(
    context: typer.Context,
    task: Annotated[
        str, typer.Argument(metavar="FILE.py:FUNCTION", help="Returns what is compressed.")
    ],
    out: Annotated[Path, typer.Option(help="Where the network is written.")] = Path("model.onnx"),
) -> None:
    """Prune, factorise and quantise a network within its budget of quality (extra `torch`).

    Example: berth compress net.py:compression --out small.onnx
    """
    import importlib
    import importlib.util
    import time

    from engine.model.errors import NotFoundError
    from executors.training.trials.host import LoadError, load

    talk: Talk = context.obj
    if importlib.util.find_spec("torch") is None:
        raise NotFoundError("torch is not installed", fix="pip install 'berth[torch]'")
    compressing = importlib.import_module("executors.training.compression.compressing")
    try:
        make: Any = load(task)[0]
        found = compressing.compress(make(), clock=time.perf_counter)
    except LoadError as error:
        raise NotFoundError(str(error), fix="name a function of a file") from error
    out.write_bytes(found.onnx)
    first, chosen = found.forms[0], found.chosen
    _hand_on(
        {
            "quality": chosen.quality,
            "quality_before": first.quality,
            "operations_share": chosen.multiply_adds / first.multiply_adds,
            "faster": first.latency_seconds / chosen.latency_seconds,
        }
    )
    talk.result(f"{found.table()}\n\n{out}: {chosen.name}, {len(found.onnx) / 1000:.0f} kB")


def _refuse(message: str, fix: str) -> None:
    """End with an error."""
    from engine.model.errors import FinalError

    raise FinalError(message, fix=fix)


def _hand_on(outputs: Mapping[str, object]) -> None:
    """Write the small outputs of a task, when this runs as one."""
    import json

    given = os.environ.get("BERTH_OUTPUTS")
    if given:
        text = json.dumps(outputs, sort_keys=True)
        (Path(given) / "outputs.json").write_text(text + "\n", encoding="utf-8")


class _Search(Command):
    """A command that searches, with the options of that."""

    declares = staticmethod(_searching)
    declares_more = staticmethod(_placing)


class _Work(Command):
    """A command that several workers carry out, with the options of that."""

    declares = staticmethod(_working)


COMMANDS = {
    "tune": (_Search, tune),
    "train": (_Work, train),
    "compress": (Command, compress),
}
