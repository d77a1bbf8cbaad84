"""Training on a cluster: nodes that work together, as one attempt of the port `Executor`.

With the executor of Kubernetes the attempt is an Indexed Job. The recipe's file goes along with it,
and the folder of the training comes back with checkpoint, metrics and log. A training that was
called off, or whose pods were lost, goes on from what came back last; one whose command was killed
here meets its Job again, for the attempt's number is kept.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.model.dispatches import AttemptOrder, AttemptState, Observation, Reason
from engine.model.errors import FinalError, RetryableError, UnreachableError
from engine.model.identifiers import AttemptId, Digest, PipelineName, RunId, TaskName
from engine.model.specs import TaskKind
from engine.ports import ArtifactStore, Executor
from executors.training.parallel.member import TRAINING
from executors.training.trials.tasks import Ground

HOME = ".cluster"
"""Of what is kept beside a training, in its folder: artefacts, keys, the attempt's number."""
_NOTE = "attempt.json"
_OVERHEAD_SECONDS = 600.0
"""For imports and transfers, beside the training itself."""
_LOOK_SECONDS = 0.2
_PATIENCE_LOOKS = 150
"""How often a place may ask for patience before the training is not started."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What is trained: the recipe that a function of a file returns.

    options: of each worker. nodes: that train together, with so many workers each.
    seconds_max: of the training.
    """

    file: Path
    function: str
    options: tuple[str, ...] = ()
    nodes: int = 1
    workers: int = 1
    seconds_max: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where a training runs, and by what. name: of the training there."""

    executor: Executor
    artifacts: ArtifactStore
    ground: Ground
    name: str


def train(
    site: Site,
    work: Work,
    folder: Path,
    *,
    say: Callable[[str], None],
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Train there to the end; return the exit code of the training, whose folder came back.

    say: is told what the training waits for. An attempt that runs already is met again.

    Raises:
        RetryableError: when the place does not answer, or lost the training.
        FinalError: when the training cannot run there; its own words are kept.
    """
    order = _order(site, work, folder)
    _start(site.executor, order, say, sleep)
    try:
        seen = _ended(site.executor, order.attempt_id, say, sleep)
    except KeyboardInterrupt:
        site.executor.stop(order.attempt_id)
        _end(folder)
        raise
    _end(folder)
    return _brought_back(site, seen, folder)


def _start(
    executor: Executor,
    order: AttemptOrder,
    say: Callable[[str], None],
    sleep: Callable[[float], None],
) -> None:
    """Start an attempt, again while its place asks for patience, as the engine does."""
    said = ""
    for looks_left in reversed(range(_PATIENCE_LOOKS)):
        try:
            executor.start(order)
        except UnreachableError:
            raise
        except RetryableError as error:
            if not looks_left:
                raise
            if error.message != said:
                said = error.message
                say(f"{order.attempt_id} waits: {said}")
        else:
            return
        sleep(_LOOK_SECONDS)


def _ended(
    executor: Executor,
    attempt: AttemptId,
    say: Callable[[str], None],
    sleep: Callable[[float], None],
) -> Observation:
    """Wait until an attempt has ended, telling what it waits for."""
    said = ""
    while True:
        seen = next((s for s in executor.observe() if s.attempt_id == attempt), None)
        if seen is not None and seen.state.is_terminal:
            return seen
        if seen is not None and seen.message not in {"", said}:
            said = seen.message
            say(f"{attempt} waits: {said}")
        sleep(_LOOK_SECONDS)


def _order(site: Site, work: Work, folder: Path) -> AttemptOrder:
    attempt, begins = _begun(folder, site.artifacts)
    told = {
        "options": list(work.options),
        "workers": work.workers,
        "seconds_max": work.seconds_max,
    }
    file = work.file.resolve()
    module = "executors.training.parallel.member"
    return AttemptOrder(
        attempt_id=AttemptId(f"{site.name}.{TRAINING}.{attempt}"),
        run_id=RunId(site.name),
        pipeline=PipelineName(TRAINING),
        task=TaskName(TRAINING),
        kind=TaskKind.TRAIN,
        cluster=site.ground.cluster,
        pool=site.ground.pool,
        command=(
            *(site.ground.python, "-m", module),
            *(f"$BERTH_FOLDER/{file.name}", work.function),
        ),
        folder=str(file.parent),
        inputs={} if begins is None else {TaskName(TRAINING): begins},
        parameters={TRAINING: told},
        limits=site.ground.limits,
        nodes=work.nodes,
        time_limit_seconds=work.seconds_max + _OVERHEAD_SECONDS,
    )


def _begun(folder: Path, artifacts: ArtifactStore) -> tuple[int, Digest | None]:
    """Return the number of the attempt, and what it begins with; the same until it has ended."""
    known = _note(folder)
    if known.get("runs"):
        return int(known["attempt"]), Digest(known["begins"]) if known["begins"] else None
    begins = None
    with tempfile.TemporaryDirectory(dir=folder / HOME) as scratch:
        copy = Path(scratch) / TRAINING
        shutil.copytree(folder, copy, ignore=shutil.ignore_patterns(HOME))
        if any(copy.iterdir()):
            begins = artifacts.put(copy)
    number = int(known.get("attempt", 0)) + 1
    _keep(folder, {"attempt": number, "begins": begins, "runs": True})
    return number, begins


def _end(folder: Path) -> None:
    _keep(folder, {**_note(folder), "runs": False})


def _note(folder: Path) -> dict[str, Any]:
    path = folder / HOME / _NOTE
    return dict(json.loads(path.read_bytes())) if path.exists() else {}


def _keep(folder: Path, note: Mapping[str, Any]) -> None:
    partial = folder / HOME / f"{_NOTE}.partial"
    partial.write_text(json.dumps(note), encoding="utf-8")
    partial.replace(folder / HOME / _NOTE)


def _brought_back(site: Site, seen: Observation, folder: Path) -> int:
    """Lay out what came back, in place of what was there; return how the training ended."""
    if seen.state is not AttemptState.SUCCEEDED or seen.artifact is None:
        said = "; ".join(_last(seen.last_lines)) or seen.message or seen.reason.value
        message = f"on {site.ground.cluster!r} ({seen.reason.value}): {said}"
        if seen.reason in {Reason.BAD_INPUT, Reason.OUT_OF_MEMORY, Reason.ADMISSION}:
            raise FinalError(message, fix="see docs/how-to/train.md: on a cluster")
        raise RetryableError(message, fix="run the same again: it goes on from what came back last")
    with tempfile.TemporaryDirectory(dir=folder / HOME) as scratch:
        found = Path(scratch) / "outputs"
        site.artifacts.fetch(seen.artifact, found)
        for each in (found / TRAINING).iterdir():
            # Read-only as artefacts are, so copied; the checkpoint replaces the old one in a step.
            partial = folder / HOME / each.name
            shutil.copyfile(each, partial)
            partial.replace(folder / each.name)
    return int(seen.outputs["code"])


def _last(lines: Sequence[str]) -> Sequence[str]:
    return [line for line in lines if line.strip()][-1:]
