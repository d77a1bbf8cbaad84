"""Keeps what made a training that a command did: for the engine in a task, else in the data folder.

In a task the runner beside it adds what it knows; without one `berth runs` lists it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from api.cli import doors
from api.cli.frame import Talk

if TYPE_CHECKING:
    from executors.training.tracking.exporting import Exported
    from executors.training.tracking.trainings import Training, Trainings


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A training that ended well.

    name: of what was trained. words: the command after `berth`, without `--folder`. began: seconds
    since 1970. outputs: its metrics. files: what it wrote. said: parts of a record that it knows
    itself (`executors.tasks.records`).
    """

    name: str
    words: Sequence[str]
    began: float
    outputs: Mapping[str, object]
    files: Sequence[Path] = ()
    said: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def keep(talk: Talk, done: Done) -> None:
    """Write metrics and record of a training where they belong, and say where that is."""
    import shlex
    from importlib import metadata

    from executors.tasks import records

    code, data = records.named(done.words[1:], Path.cwd())
    code["berth"] = metadata.version("berth")
    known = {"task": done.words[0], "data": data, "code": code}
    known["environment"] = records.environment()
    outputs = os.environ.get("BERTH_OUTPUTS")
    if outputs:  # the runner beside the task adds its name, its command and what it wrote
        hand_on(done.outputs)
        record = records.filled(dict(done.said), known)
        records.write(Path(outputs), {part: record[part] for part in records.PARTS})
        return
    code |= {"commit": records.commit(Path.cwd()), "command": shlex.join(["berth", *done.words])}
    written = [path for path in done.files if path.is_file()]
    known["artifacts"] = {path.name: records.digest(path) for path in written}
    record = records.filled(dict(done.said), known)
    kept = _kept(talk, done, record)
    talk.say(f"recorded as {kept.run_id}; berth runs lists it")
    if doors.settings_of(talk).mlflow:
        _export_now(talk, kept.run_id)


def hand_on(outputs: Mapping[str, object]) -> None:
    """Write the small outputs of a task, when this runs as one; what it wrote itself stays."""
    import json

    given = os.environ.get("BERTH_OUTPUTS")
    if given:
        text = json.dumps(outputs, sort_keys=True)
        (Path(given) / "outputs.json").write_text(text + "\n", encoding="utf-8")


def options(talk: Talk) -> list[str]:
    """Return the options of a command as words, to give it again."""
    words: list[str] = []
    for name, value in talk.options.items():
        values = value if isinstance(value, list | tuple) else [value]
        words += [f"--{name.replace('_', '-')}={each}" for each in values if each not in {None, ""}]
    return words


def trainings(talk: Talk) -> Trainings:
    """Return the trainings of the data folder."""
    from executors.training.tracking.trainings import Trainings

    return Trainings(doors.settings_of(talk).home)


def export(talk: Talk, name: str, to: str) -> Exported:
    """Export a training to MLflow, at an address or where the settings say.

    Raises:
        RefusedError: when no address is known, or MLflow refuses.
        UnreachableError: when it does not answer.
    """
    from engine.model.errors import RefusedError
    from executors.training.tracking import exporting

    where = to or doors.settings_of(talk).mlflow
    if not where:
        fix = "set `mlflow` in berth.toml or BERTH_MLFLOW, or name one with --to"
        raise RefusedError("no address of MLflow is known", fix=fix)
    store = trainings(talk)
    found = store.find(name)
    tracker = exporting.Tracker(where, os.environ)
    try:
        return tracker.export(
            exporting.Training(
                pipeline=found.pipeline,
                run=name,
                attempt=name,
                started_at=found.started_at,
                ended_at=found.ended_at,
                experiment=store.experiment(name),
            )
        )
    finally:
        tracker.close()


def _kept(talk: Talk, done: Done, record: Mapping[str, Any]) -> Training:
    import time

    from executors.training.tracking.trainings import Training

    training = Training(
        run_id="",
        pipeline=done.name,
        command=tuple(done.words),
        folder=str(Path.cwd()),
        started_at=done.began,
        ended_at=time.time(),
    )
    return trainings(talk).keep(training, dict(record), done.outputs)


def _export_now(talk: Talk, name: str) -> None:
    """Export a training that ended; it is kept whether that succeeds or not."""
    from engine.model.errors import BerthError

    try:
        talk.say(f"in MLflow: {export(talk, name, '').url}")
    except BerthError as error:
        talk.say(f"note: {error.message}; `berth export {name}` tries again")
