"""Trials as tasks of a cluster: every visit is an attempt of the port `Executor`.

With the executor of Kubernetes an attempt is a Job. The objective's file goes along with it, the
trial's folder comes back with its outputs, as the outputs of any task do, and its events in them. A
study that was killed meets its Jobs again: attempts have names that the journal knows.

A pod that is gone takes its folder along, so the visit is done again from the checkpoint before it.
What it spent stays counted: epochs from the last lines of its log where there are any, and
processor time as its time times its cores where nobody measured it.
"""

from __future__ import annotations

import json
import math
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from engine.model.dispatches import (
    INFRASTRUCTURE_REASONS,
    AttemptOrder,
    AttemptState,
    Observation,
    Reason,
)
from engine.model.errors import BerthError, FinalError, RetryableError
from engine.model.identifiers import (
    AttemptId,
    ClusterName,
    Digest,
    PipelineName,
    PoolName,
    RunId,
    TaskName,
)
from engine.model.resources import Resources
from engine.model.specs import TaskKind
from engine.ports import ArtifactStore, Executor
from executors.training.trials import visiting

_PIPELINE = PipelineName("study")
_OVERHEAD_SECONDS = 600.0
"""For imports and transfers, beside the epochs of a visit."""
_LOOK_SECONDS = 0.2
_SILENT_SECONDS_MAX = 900.0
"""How long a place may not answer before the study gives up; what runs there goes on."""
_PENDING_SECONDS_MAX = 7_200.0
"""How long a visit may wait for room, and its cluster may be away, beside the time it may take."""
_WAITING_SECONDS = 15.0
"""What a visit waits for is told when it has waited for so long."""
_KILLED = -9
_LOST = INFRASTRUCTURE_REASONS | {
    Reason.CLUSTER_DOWN,
    Reason.IMAGE,
    Reason.KILLED,
    Reason.CANCELLED,
}
_HOPELESS = frozenset({Reason.TIMED_OUT, Reason.OUT_OF_MEMORY, Reason.ADMISSION})
"""Ends that the same visit under the same limits would come to again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """Where visits run, and what each may take.

    limits: of one visit. python: the interpreter there.
    """

    cluster: ClusterName
    pool: PoolName
    limits: Resources
    python: str = "python"


class TaskHost:
    """Runs visits by an executor. See `hosts.Host`.

    name: of the study; attempts begin with it. say: is told what visits wait for.
    """

    hears_epochs = False

    def __init__(
        self,
        executor: Executor,
        artifacts: ArtifactStore,
        ground: Ground,
        *,
        name: str,
        objective: str,
        clock: Callable[[], float] = time.monotonic,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._executor = executor
        self._artifacts = artifacts
        self._ground = ground
        self._name = name
        self._objective = objective
        self._clock = clock
        self._say = say
        self._said: dict[AttemptId, tuple[str, float]] = {}
        self._visits: dict[AttemptId, Mapping[str, Any]] = {}
        self._told: list[dict[str, Any]] = [{"event": "ready"}]
        self._started: set[AttemptId] = set()
        self._waiting: list[Mapping[str, Any]] = []
        self._answered = clock()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, /, *_: object) -> None:
        """Stop what runs, but after an error that may pass: the next sitting takes that over."""
        if kind is not None and issubclass(kind, RetryableError):
            return
        for attempt in self._visits:
            self._executor.stop(attempt)

    def adopt(self, orders: Sequence[Mapping[str, Any]]) -> Sequence[int]:
        """Take over what an earlier sitting asked for: the same attempt is started only once."""
        for order in orders:
            self.send(order)
        return [int(order["trial"]) for order in orders]

    def send(self, order: Mapping[str, Any]) -> None:
        """Begin a visit, or end one."""
        if "kill" not in order:
            self._waiting.append(order)
            return
        for attempt, visit in self._visits.items():
            if visit["trial"] == order["kill"]:
                self._executor.stop(attempt)

    def take(self, seconds: float) -> list[dict[str, Any]] | None:
        """Return what happened meanwhile.

        Raises:
            RetryableError: when the place does not answer for a quarter of an hour.
            FinalError: when the objective cannot be loaded there.
        """
        end = self._clock() + seconds
        while True:
            self._begin()
            for seen in self._executor.observe():
                self._look(seen)
            if self._told or self._clock() >= end:
                found, self._told = self._told, []
                return found
            time.sleep(_LOOK_SECONDS)

    # ------------------------------------------------------------------ starting

    def _begin(self) -> None:
        """Start what waits; a place that does not answer now is asked again."""
        while self._waiting:
            order = self._waiting[0]
            try:
                wanted = self._order(order)
                self._executor.start(wanted)
            except RetryableError:
                if self._clock() - self._answered > _SILENT_SECONDS_MAX:
                    raise
                return
            self._answered = self._clock()
            until = self._clock() + _seconds_max(order) + _PENDING_SECONDS_MAX
            self._visits[wanted.attempt_id] = {**order, "until": until}
            del self._waiting[0]

    def _order(self, order: Mapping[str, Any]) -> AttemptOrder:
        trial, attempt = int(order["trial"]), int(order["attempt"])
        digest = self._brought(order)
        inputs = {} if digest is None else {visiting.TRIAL: digest}
        home, _, function = self._objective.rpartition(":")
        where = ""
        if home.endswith(".py"):
            path = Path(home).resolve()
            where, home = str(path.parent), f"$BERTH_FOLDER/{path.name}"
        kept = {name: value for name, value in order.items() if name != "folder"}
        module = "executors.training.trials.visiting"
        return AttemptOrder(
            attempt_id=AttemptId(f"{self._name}.trial-{trial}.{attempt}"),
            run_id=RunId(self._name),
            pipeline=_PIPELINE,
            task=TaskName(f"trial-{trial}"),
            kind=TaskKind.TRAIN,
            cluster=self._ground.cluster,
            pool=self._ground.pool,
            command=(self._ground.python, "-m", module, home, function),
            folder=where,
            inputs=inputs,
            parameters={"visit": kept},
            limits=self._ground.limits,
            time_limit_seconds=_seconds_max(order),
        )

    def _brought(self, order: Mapping[str, Any]) -> Digest | None:
        """Return what a visit begins with; the same for an attempt that is asked for again."""
        folder = Path(order["folder"])
        note = folder.with_name(f"{folder.name}.begins.json")
        if note.exists():
            known = json.loads(note.read_bytes())
            if known["attempt"] == order["attempt"]:
                return Digest(known["digest"]) if known["digest"] else None
        digest = self._artifacts.put(folder) if any(folder.iterdir()) else None
        partial = note.with_suffix(".partial")
        partial.write_text(json.dumps({"attempt": order["attempt"], "digest": digest}))
        partial.replace(note)
        return digest

    # ----------------------------------------------------------------- observing

    def _look(self, seen: Observation) -> None:
        """Take in what an executor sees of an attempt."""
        order = self._visits.get(seen.attempt_id)
        if order is None:
            return
        if seen.attempt_id not in self._started and seen.started_at is not None:
            self._started.add(seen.attempt_id)
            self._told.append({"event": "started", "handle": seen.handle, **_name(order)})
        if not seen.state.is_terminal:
            self._waits(seen, float(order["until"]))
            return
        del self._visits[seen.attempt_id]
        if seen.reason is Reason.BAD_INPUT:
            said = seen.last_lines[-1] if seen.last_lines else seen.message
            fix = "name a function of a file, and put its libraries into the image"
            raise FinalError(f"on {self._ground.cluster!r}: {said}", fix=fix)
        if seen.state is AttemptState.SUCCEEDED and seen.artifact is not None:
            self._told += self._came_back(order, seen.artifact)
        else:
            self._told += self._lost(order, seen)

    def _waits(self, seen: Observation, until: float) -> None:
        """Tell once what a visit waits for.

        Raises:
            RetryableError: when it is not seen to end long after it has to.
        """
        now = self._clock()
        before, since = self._said.get(seen.attempt_id, ("", 0.0))
        if seen.message != before:
            self._said[seen.attempt_id] = (seen.message, now + _WAITING_SECONDS)
        elif seen.message and now > since:
            self._said[seen.attempt_id] = (seen.message, math.inf)
            self._say(f"{seen.attempt_id} waits: {seen.message}")
        if now > until:
            message = f"{seen.attempt_id} is not seen to end: {seen.message or 'no word'}"
            raise RetryableError(message, fix="look at its cluster, then run the same again")

    def _came_back(self, order: Mapping[str, Any], artifact: Digest) -> list[dict[str, Any]]:
        """Return the events of a visit, and put its folder in place of the one before."""
        folder = Path(order["folder"])
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".") as scratch:
            found = Path(scratch) / "outputs"
            try:
                self._artifacts.fetch(artifact, found)
                lines = (found / visiting.EVENTS).read_text(encoding="utf-8").splitlines()
                events = [{**json.loads(line), **_name(order)} for line in lines]
                told = [event for event in events if event["event"] != "started"]
                shutil.rmtree(folder)
                (found / visiting.TRIAL).rename(folder)
            except (BerthError, OSError, ValueError, KeyError, TypeError) as error:
                return [_ended(order, f"its outputs cannot be read: {error!r}", 0.0)]
        return told

    def _lost(self, order: Mapping[str, Any], seen: Observation) -> Iterator[dict[str, Any]]:
        """Yield what is known of a visit whose outputs did not come back."""
        for line in seen.last_lines:
            if line.startswith(visiting.EPOCH):
                try:
                    told = json.loads(line.removeprefix(visiting.EPOCH))
                    known = {"epoch": int(told["epoch"]), "values": dict(told["values"])}
                except (ValueError, KeyError, TypeError):
                    continue  # a line that the objective wrote
                yield {**_name(order), "event": "epoch", "lost": True, **known}
        if seen.usage is not None:
            spent = seen.usage.cpu_seconds
        else:
            lasted = (seen.ended_at or 0.0) - (seen.started_at or seen.ended_at or 0.0)
            spent = max(lasted, 0.0) * self._ground.limits.cpu_cores
        reason = f"{seen.reason.value}: {seen.message}" if seen.message else seen.reason.value
        ended = _ended(order, reason, spent)
        if seen.reason in _HOPELESS:
            ended["out"] = True
        if seen.reason in _LOST or seen.state is AttemptState.LOST:
            ended["blameless"] = True
        yield ended


def _seconds_max(order: Mapping[str, Any]) -> float:
    """Return how long a visit may take once it runs."""
    return int(order["goal"]) * float(order["epoch_seconds_max"]) + _OVERHEAD_SECONDS


def _name(order: Mapping[str, Any]) -> dict[str, Any]:
    return {"trial": order["trial"], "attempt": order["attempt"]}


def _ended(order: Mapping[str, Any], reason: str, cpu_seconds: float) -> dict[str, Any]:
    return {
        **_name(order),
        "event": "ended",
        "code": _KILLED,
        "reason": reason,
        "cpu_seconds": cpu_seconds,
    }
