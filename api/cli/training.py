"""Commands that train: train, compress. They need no engine.

In a task of a pipeline (`command: [berth, tune, ...]`) they also write the small outputs that gates
and conditions read.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli import outputs, recording, templating
from api.cli.frame import Command, Talk

if TYPE_CHECKING:
    from api.wiring.trial_places import Wanted


_OF_TASK = "BERTH_WORKERS"
"""Says how many workers a task starts on this node, whatever the options are."""


def placing(
    *,
    on: Annotated[str, typer.Option(help="A Kubernetes cluster, instead of this machine.")] = "",
    pool: Annotated[str, typer.Option(help="Its pool; the only one by default.")] = "",
    cpu: Annotated[float, typer.Option(help="Cores of a pod there.", min=0.01)] = 1.0,
    memory_gib: Annotated[float, typer.Option(help="GiB of a pod there.", min=0.05)] = 2.0,
    listen: Annotated[
        str, typer.Option(help="HOST:PORT where Jobs leave results; a free port by default.")
    ] = "",
    artifacts_url: Annotated[str, typer.Option(help="How Jobs reach that.")] = "",
    reads: Annotated[
        list[str] | None, typer.Option(help="A file it learns from, whose digest is recorded.")
    ] = None,
) -> None:
    """Declare where it is done, and from what."""


def _working(
    *,
    workers: Annotated[int, typer.Option(help="Processes on a machine.", min=1, max=512)] = 1,
    checkpoint_steps: Annotated[int, typer.Option(help="Steps between checkpoints.", min=1)] = 100,
    memory: Annotated[
        int,
        typer.Option(help="MiB for a pass, to find its samples; 0: 1024, or what a GPU has free."),
    ] = 0,
    minutes: Annotated[float, typer.Option(help="Most minutes of it.", min=0.01)] = 1440.0,
    nodes: Annotated[int, typer.Option(help="Machines that train together.", min=1)] = 1,
    address: Annotated[str, typer.Option(help="HOST:PORT of the first of several.")] = "",
) -> None:
    """Declare how workers train together."""


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
    talk: Talk = context.obj
    outputs = os.environ.get("BERTH_OUTPUTS")
    if outputs and not folder.is_absolute():
        from executors.training.parallel import member

        # What is left elsewhere goes with the task. An earlier attempt may have got so far.
        before = Path(os.environ["BERTH_INPUTS"]) / os.environ["BERTH_TASK"] / folder
        folder = Path(outputs) / folder
        member.begin(before, folder)
    if data is not None or settings:
        templating.train(talk, program, folder, data, settings or [])
    elif probe and ":" in program[0]:
        _probe(talk, program, folder)
    else:
        _train(talk, program, folder)


def _probe(talk: Talk, program: list[str], folder: Path) -> None:
    """Say whether so many workers pay."""
    from api.report.phrases import plural
    from executors.training.parallel import prediction

    _run(talk, program, folder, ["--probe"])
    found = prediction.read(folder)
    said = "pay" if found.pays else "do not pay"
    workers = plural(_workers(talk), "worker")
    talk.result(
        f"{workers} {said}: about {found.speed_up:.2f} times one. A step takes one "
        f"{1e3 * found.alone_seconds:.1f} ms, each of them {1e3 * found.together_seconds:.1f} "
        f"ms and {1e3 * found.exchange_seconds:.1f} ms of exchange."
    )
    if found.workers > 1:
        points = ", ".join(f"{count}: {factor:.2f}" for count, factor in found.scaling.points)
        talk.say(f"For a task of a pipeline: speed up: {{{points}}}")


def _train(talk: Talk, program: list[str], folder: Path) -> None:
    """Train, and say how the loss went."""
    from api.report.phrases import plural
    from executors.training.parallel import metrics

    asked = talk.options
    options = [
        f"--checkpoint-steps={asked['checkpoint_steps']}",
        f"--memory-mib={asked['memory']}",
    ]
    began = time.time()
    if "BERTH_OUTPUTS" not in os.environ:  # what another training left there
        (folder / "outputs.json").unlink(missing_ok=True)
    _run(talk, program, folder, options)
    lines = metrics.read(folder / metrics.NAME)
    outputs = _written(folder)
    if lines:
        first, last = lines[0]["loss"], lines[-1]["loss"]
        outputs = {"quality": -last, "loss_first": first, "loss_last": last, **outputs}
        outputs["steps"] = len(lines)
        talk.result(
            f"{plural(len(lines), 'step')} by {plural(_workers(talk), 'worker')}: "
            f"loss {first:.4f} to {last:.4f}"
        )
    else:
        talk.result(f"done; {folder / 'log.txt'} has what it said")
    if outputs:
        _keep(talk, program, folder, outputs, began)


def _written(folder: Path) -> dict[str, object]:
    """Return the small outputs that a script wrote, {} for none.

    Raises:
        DamagedError: when they are not small values.
    """
    from executors.local import results

    place = Path(os.environ.get("BERTH_OUTPUTS") or folder)
    return dict(results.read_outputs(place)) if (place / "outputs.json").exists() else {}


def _keep(
    talk: Talk, program: list[str], folder: Path, outputs: dict[str, object], began: float
) -> None:
    """Record a training of workers: what it wrote but its log, what its recipe says."""
    import json

    from executors.training.parallel import launch

    recipe, _, function = program[0].rpartition(":")
    facts = folder / "recipe.json"
    skipped = {"log.txt", "metrics.jsonl", "outputs.json", facts.name}
    said = {"environment": {"threads": str(launch.Start().threads)}}
    if recipe and facts.exists():
        said = json.loads(facts.read_text(encoding="utf-8"))
    done = recording.Done(
        name=Path(recipe or function).stem,
        words=["train", *recording.options(talk), "--", *program],
        began=began,
        outputs=outputs,
        files=sorted(path for path in folder.iterdir() if path.name not in skipped),
        said=said,
    )
    recording.keep(talk, done)


def _workers(talk: Talk) -> int:
    """Return how many there are: of all nodes on a cluster, else of this machine."""
    workers = int(os.environ.get(_OF_TASK) or talk.options["workers"])
    nodes = int(os.environ.get("BERTH_NODES") or talk.options["nodes"])
    return workers * nodes if talk.options["on"] or _OF_TASK in os.environ else workers


def _run(talk: Talk, program: list[str], folder: Path, options: list[str]) -> None:
    """Run a recipe with options, or a script as it is, here or on a cluster, to a good end."""
    from executors.training.parallel import launch, member

    asked, seconds_max = talk.options, 60 * talk.options["minutes"]
    if asked["on"]:
        _ended(_run_there(talk, program, folder, options), folder)
        return
    start = launch.Start(workers=asked["workers"], nodes=asked["nodes"], address=asked["address"])
    if _OF_TASK in os.environ:
        start = member.start_of({"workers": int(os.environ[_OF_TASK])}, os.environ)
    is_recipe = ":" in program[0]
    words = launch.recipe_program(program[0], folder, options) if is_recipe else program
    _ended(launch.run(start, words, folder, seconds_max=seconds_max), folder)


def _run_there(talk: Talk, program: list[str], folder: Path, options: list[str]) -> int:
    """Train on the cluster that is asked for; return the exit code of it."""
    from api.cli import doors
    from api.wiring import trial_places
    from executors.training.parallel import clusters

    asked = talk.options
    file, _, function = program[0].rpartition(":")
    if len(program) != 1 or not Path(file).is_file():
        templating.refuse(
            f"{' '.join(program)!r} is no recipe", "on a cluster, name one: `FILE.py:FUNCTION`"
        )
    work = clusters.Work(
        file=Path(file),
        function=function,
        options=tuple(options),
        nodes=asked["nodes"],
        workers=asked["workers"],
        seconds_max=60 * asked["minutes"],
    )
    with trial_places.trained_on(doors.settings_of(talk), folder, wanted_of(talk)) as site:
        return clusters.train(site, work, folder, say=talk.say)


def wanted_of(talk: Talk) -> Wanted:
    """Return where on a cluster something is to be done."""
    from api.wiring import trial_places
    from engine.model.resources import Resources

    asked = talk.options
    return trial_places.Wanted(
        cluster=asked["on"],
        pool=asked["pool"],
        limits=Resources(cpu_cores=asked["cpu"], memory_gib=asked["memory_gib"]),
        listen=asked["listen"],
        url=asked["artifacts_url"],
    )


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
    elif code < 0:
        said = f"signal {-code} ({signal.strsignal(-code)}) ended it; run it again to go on"
    templating.refuse(f"the training ended with {code}: {said}", f"{log} has all of it")


def compress(
    context: typer.Context,
    task: Annotated[
        str, typer.Argument(metavar="FILE.py:FUNCTION", help="Returns what is compressed.")
    ],
    out: Annotated[Path, typer.Option(help="Where the network is written.")] = Path("model.onnx"),
    folder: Annotated[Path, typer.Option(help="Where that is, unless it says so.")] = Path(),
    reads: Annotated[
        list[str] | None, typer.Option(help="A file it learns from, whose digest is recorded.")
    ] = None,
) -> None:
    """Prune, factorise and quantise a network within its budget of quality (extra `torch`).

    It is recorded as a training: `berth runs` lists it, `berth compare` and `reproduce` take it.

    Example: berth compress net.py:compression --out small.onnx
    """
    import importlib
    import importlib.util

    from engine.model.errors import NotFoundError
    from executors.training.trials.host import LoadError, load

    talk: Talk = context.obj
    if importlib.util.find_spec("torch") is None:
        raise NotFoundError("torch is not installed", fix="pip install 'berth[torch]'")
    facts = importlib.import_module("executors.training.compression.facts")
    compressing = importlib.import_module("executors.training.compression.compressing")
    began = time.time()
    try:
        make: Any = load(task)[0]
    except LoadError as error:
        raise NotFoundError(str(error), fix="name a function of a file") from error
    given = make()
    said = facts.said(given)
    found = compressing.compress(given, clock=time.perf_counter)
    target = folder / out
    target.parent.mkdir(parents=True, exist_ok=True)
    outputs.write(target, found.onnx)
    talk.result(
        f"{found.table()}\n\n{target}: {found.chosen.name}, {len(found.onnx) / 1000:.0f} kB"
    )
    done = recording.Done(
        name=Path(task.rpartition(":")[0]).stem,
        words=["compress", f"--out={out.name}", *(f"--reads={one}" for one in reads or ()), task],
        began=began,
        outputs=facts.outputs(found),
        files=[target],
        said=said,
    )
    recording.keep(talk, done)


class _Work(Command):
    """A command that several workers carry out, with the options of that."""

    declares = staticmethod(_working)
    declares_more = staticmethod(placing)


COMMANDS = {
    "train": (_Work, train),
    "compress": (Command, compress),
}
