"""Trains the models of operations on the command line: `berth train arima --data FILE`."""

from __future__ import annotations

import time
from pathlib import Path

from api.cli import recording
from api.cli.frame import Talk


def train(
    talk: Talk, program: list[str], folder: Path, data: Path | None, given: list[str]
) -> None:
    """Train a model of operations, and write it as the folder of a model."""
    from api.report.tables import following
    from executors.tasks.context import TaskError
    from executors.training.operations import folder as folders
    from executors.training.operations import template

    if len(program) != 1 or program[0] not in template.TEMPLATES:
        known = ", ".join(sorted(template.TEMPLATES))
        refuse(f"{' '.join(program)!r} takes no `--data` or `--set`", f"only {known} do")
    if data is None or not data.exists():
        refuse(f"there is no data at {str(data)!r}", "name it with `--data FILE`")
        return
    values: dict[str, str | int | float | bool] = {}
    for each in given:
        key, _, value = each.partition("=")
        values[key] = value
    seed = str(values.pop("seed", "0"))
    if not seed.isdigit():
        refuse(f"the seed is {seed!r}", "give a whole number: `--set seed=7`")
    began = time.time()
    order = template.Order(source=data, settings=values, seed=int(seed))
    try:
        trained = template.train(template.Template(program[0]), order)
    except TaskError as error:
        refuse(str(error), "see docs/how-to/train.md")
        return
    outputs = trained.outputs()
    name = folder.absolute().name
    written = folders.write(trained, folder, name)
    set_words = [word for each in given for word in ("--set", each)]
    done = recording.Done(
        name=program[0],
        words=["train", *program, "--data", str(data), *set_words],
        began=began,
        outputs=outputs,
        files=[path for path in written if path.name == trained.file],
        said={"parameters": {**values, "seed": int(seed)}},
    )
    recording.keep(talk, done)
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


def refuse(message: str, fix: str) -> None:
    """End with an error."""
    from engine.model.errors import FinalError

    raise FinalError(message, fix=fix)
