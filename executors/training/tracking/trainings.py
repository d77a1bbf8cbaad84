"""Trainings that no engine ran: `berth train`, `tune` and `compress` on the command line.

Each is a folder in the data folder, `trainings/NAME`, with the record of any training beside what
was asked. Its name comes from its record: the same training that came out the same is known by the
same name.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
import tempfile
import uuid
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from engine.model import documents
from engine.model.errors import DamagedError, NotFoundError
from engine.model.specs import is_scalar
from executors.local import files, recording, results
from executors.tasks import records
from executors.training.tracking import experiments
from executors.training.tracking.experiments import Experiment
from executors.training.tracking.reproducing import Again, changed, finish

PREFIX = "t-"
_NOTE = "training.json"
_NAME_CHARACTERS = 8
_IS_THERE = {errno.EEXIST, errno.ENOTEMPTY}


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """One training on the command line.

    run_id: its name. pipeline: what was trained, as MLflow groups it. command: words after `berth`,
    without `--folder`; folder: where they were said. started_at, ended_at: seconds since 1970.
    """

    run_id: str
    pipeline: str
    command: tuple[str, ...]
    folder: str
    started_at: float
    ended_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A training with its record."""

    training: Training
    experiment: Experiment


class Trainings:
    """Those of a data folder."""

    def __init__(self, home: Path) -> None:
        self._folder = home / "trainings"

    def keep(
        self, training: Training, record: records.Record, metrics: Mapping[str, object]
    ) -> Training:
        """Keep a training under the name that it gets; return it with that name."""
        told = {name: value for name, value in metrics.items() if is_scalar(value)}
        lasting = {k: v for k, v in told.items() if not k.endswith(experiments.TIMED)}
        made = {part: value for part, value in record.items() if part != "artifacts"}
        said = json.dumps([training.pipeline, made, lasting], sort_keys=True)
        name = PREFIX + documents.letters(said, _NAME_CHARACTERS)
        kept = replace(training, run_id=name)
        target = self._folder / name
        partial = self._folder / f".{uuid.uuid4().hex}"
        try:
            partial.mkdir(parents=True)
            records.write(partial, record)
            text = json.dumps(told, sort_keys=True, allow_nan=False)
            (partial / records.OUTPUTS).write_text(text + "\n", encoding="utf-8")
            _write(partial, kept)
            partial.rename(target)
        except OSError as error:
            if error.errno not in _IS_THERE:
                raise
            _write(target, kept)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        return kept

    def recorded(self, limit: int) -> tuple[Recorded, ...]:
        """Return the newest trainings with their records, newest first, without damaged ones."""
        found = [each for _, each in self._each() if isinstance(each, Recorded)]
        return tuple(sorted(found, key=lambda each: -each.training.ended_at)[:limit])

    def damaged(self) -> dict[str, DamagedError]:
        """Return what is wrong with those that cannot be listed, by their names in order."""
        found = {name: each for name, each in self._each() if isinstance(each, DamagedError)}
        return dict(sorted(found.items()))

    def find(self, name: str) -> Training:
        """Return a training.

        Raises:
            NotFoundError: when there is none of that name.
            DamagedError: when what was kept of it is damaged.
        """
        folder = self._folder / name
        if not name.startswith(PREFIX) or "/" in name or not folder.exists():
            message = f"there is no training {name!r}"
            raise NotFoundError(message, fix="berth runs lists them all")
        with _named(folder), files.open_plain(folder / _NOTE) as file:
            return documents.decode(Training, file.read(files.BYTES_MAX))

    def one(self, name: str) -> Recorded:
        """Return a training with its record; errors as `find`."""
        training = self.find(name)
        with _named(self._folder / name):
            return Recorded(training=training, experiment=experiments.read(self._folder / name))

    def experiment(self, name: str) -> Experiment:
        """Return the record of a training; errors as `find`."""
        return self.one(name).experiment

    def _each(self) -> Iterator[tuple[str, Recorded | DamagedError]]:
        for folder in self._folder.glob(f"{PREFIX}*") if self._folder.is_dir() else ():
            try:
                yield folder.name, self.one(folder.name)
            except DamagedError as error:
                yield folder.name, error

    def again(self, name: str, *, seconds_max: float) -> Again:
        """Do a training again, with the files as they are now, and hold its metrics to the old.

        Raises:
            NotFoundError: when there is none of that name.
            FinalError: when it fails now, or takes longer than it may.
            DamagedError: when what was kept of it is damaged, or it writes no metrics now.
        """
        known = self.one(name)
        training, before = known.training, known.experiment
        with tempfile.TemporaryDirectory(prefix="berth-again-") as scratch:
            # As in a task of a pipeline it leaves record and metrics there, and keeps nothing here.
            outputs = Path(scratch) / "outputs"
            outputs.mkdir()
            verb, *words = training.command
            words = [verb, "--folder", str(Path(scratch) / "folder"), *words]
            variables = {**os.environ, "BERTH_OUTPUTS": str(outputs)}
            program = [sys.executable, "-m", "berth", *words]
            finish(program, Path(training.folder), variables, seconds_max=seconds_max, what=name)
            after = results.read_outputs(outputs)
            record = recording.said(outputs) or {}
        return Again(
            task=before.task,
            before=before.metrics,
            after=after,
            changed=changed(asdict(before), record),
        )


@contextmanager
def _named(folder: Path) -> Generator[None]:
    """Say of what is damaged which training that is, and what to do.

    Raises:
        DamagedError: for anything that is missing or damaged.
    """
    try:
        yield
    except (DamagedError, NotFoundError, OSError) as error:
        message = f"the training {folder.name!r} is damaged: {error}"
        raise DamagedError(message, fix=f"do it again, and remove {str(folder)!r}") from error


def _write(folder: Path, training: Training) -> None:
    partial = folder / f".{_NOTE}.{uuid.uuid4().hex}"
    partial.write_text(documents.encode(training) + "\n", encoding="utf-8")
    partial.replace(folder / _NOTE)
