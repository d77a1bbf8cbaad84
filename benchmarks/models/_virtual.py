"""A live service with a clock that stands between windows, so that no load on the machine counts.

What runs is the product's: the model server with its windows and swaps, asked over its own protocol
application; the watch loop with its detector, causes, guards and policy, wired as the engine wires
it; the tasks of the pipeline (etl, features, trainings, gates, packaging with signature) in this
process. A window is a second, which is a minute to the engine. What the virtual clock replaces is
the planner, the dispatcher and the processes of tasks; `degrade --processes` has them.
"""

import asyncio
import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import httpx

from api.cli.story import workspace
from api.settings import Settings
from api.wiring import loop_parts, parts
from api.wiring.clocks import VirtualClock
from benchmarks.models import _live
from benchmarks.models._live import Truth
from engine import documents, store
from engine.dispatching import news
from engine.model import documents as model_documents
from engine.model.alarms import Action, ActionKind, ActionState
from engine.model.dispatches import Deployment
from engine.model.identifiers import Digest, PipelineName, RunId, TaskName
from engine.model.records import ACTIONS, EVENTS, PIPELINES, SUPER_ALARMS, Put, Stored
from engine.model.signals import Signal
from engine.model.specs import PipelineSpec, TaskKind
from executors.serving.packages import Packages
from executors.serving.server import ModelServer
from executors.serving.windows import Windows
from executors.tasks.context import Task, TaskError
from simulations.causes import Queue
from simulations.ledger import MemoryLedger
from simulations.service import Recorder
from tests.support.heart_tasks import HeartTasks

NAME = "heart"
START = 1_790_035_200.0
REQUESTS_PER_WINDOW = 20
TRAINING_WINDOWS = 30
_STEPS_MOST = 50
_OF_THIS_MACHINE = frozenset({"latency_ms_p99"})
"""Measured in real time, which stands beside the virtual one, and so says nothing."""


@dataclass(slots=True)
class Tally:
    """What callers heard."""

    sent: int = 0
    failed: int = 0
    right: int = 0
    last_failure: str = "none"

    @property
    def quality(self) -> float:
        """Share of right answers among those that came."""
        return self.right / max(self.sent - self.failed, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A training under way: when it ends, the package it made, or why it made none."""

    window: int
    run_id: str
    digest: str
    reason: str


class Tasks(HeartTasks):
    """The tasks of one run, all with the same registry of models."""

    def __init__(self, home: Path, models: Path, run_id: str) -> None:
        super().__init__(home)
        self._models, self._run_id = models, run_id

    def prepare(self, name: str, *after: str, **spec: object) -> dict[str, str]:
        """Lays a task's folder out."""
        given = super().prepare(name, *after, **spec)
        return {**given, "BERTH_MODELS": str(self._models), "BERTH_RUN": self._run_id}


@dataclass(slots=True)
class World:
    """One service with its watch loop. Made by `opened`."""

    home: Path
    upstream: Path
    spec: PipelineSpec
    records: tuple[Mapping[str, float], ...]
    labels: tuple[int, ...]
    trials: int
    clock: VirtualClock
    ledger: MemoryLedger
    queue: Queue
    recorder: Recorder
    windows: Windows
    step: Callable[[], bool]
    server: ModelServer | None = None
    truth: Truth = _live.unchanged
    tally: Tally = field(default_factory=Tally)
    swaps: list[str] = field(default_factory=list)
    gates: list[str] = field(default_factory=list)
    _window: int = 0
    _runs: int = 0
    _sent: int = 0
    _late: list[dict[str, Any]] = field(default_factory=list)
    _training: dict[str, Ended] = field(default_factory=dict)

    async def begin(self) -> None:
        """Trains the first model and serves it."""
        run_id, digest, reason = self._train()
        if reason:
            raise RuntimeError(f"the first training failed: {reason}")
        packages = Packages(NAME, {"BERTH_MODELS": str(self.home / "models")})
        self.server = ModelServer(packages.load(digest), packages, self.windows)
        self._note(run_id, digest)

    async def play(self, windows: int, *, until: Callable[[], bool] = lambda: False) -> int:
        """Plays some windows, or until something holds; returns how many it were."""
        for played in range(windows):
            if until():
                return played
            await self._play_one()
        return windows

    def reset(self) -> Tally:
        """Returns what callers heard since the last reset."""
        tally, self.tally = self.tally, Tally()
        return tally

    def retrains(self) -> list[Action]:
        """Returns the retrainings that were wanted so far."""
        where = {"kind": ActionKind.RETRAIN.value}
        return [s.value for s in self.ledger.select(ACTIONS, where=where, order_by="wanted_at")]

    @property
    def serving(self) -> str:
        """Digest of what serves."""
        assert self.server is not None
        return str(self.server.model.digest)

    def change_upstream(self, truth: Truth) -> None:
        """Lets the truth of the records that trainings read be another one."""
        rows = workspace.read_rows(self.upstream)
        changed = [{**row, "target": str(truth(row, int(row["target"])))} for row in rows]
        workspace.write_rows(self.upstream, changed)

    # ------------------------------------------------------------------ a window

    async def _play_one(self) -> None:
        assert self.server is not None
        self._window += 1
        self.clock.set(START + self._window)
        ended = [(key, one) for key, one in self._training.items() if one.window <= self._window]
        if ended and not ended[0][1].reason:
            # The swap and the requests of the window go on at the same time.
            await asyncio.gather(self._traffic(), self.server.swap(ended[0][1].digest))
        else:
            await self._traffic()
        for key, one in ended:
            self._finish(key, one)
        self.recorder.at = self.clock.now()
        self.windows.flush([feature.name for feature in self.server.model.features])
        found, self.recorder.signals = self.recorder.signals, []
        self.queue.signals += [one for one in found if one.name not in _OF_THIS_MACHINE]
        for _ in range(_STEPS_MOST):
            if not self.step():
                break
        where = {"kind": ActionKind.RETRAIN.value, "state": ActionState.WANTED.value}
        for stored in self.ledger.select(ACTIONS, where=where):
            self._start(stored)

    async def _traffic(self) -> None:
        transport = httpx.ASGITransport(app=cast("Any", self.server))
        async with httpx.AsyncClient(transport=transport, base_url="http://model") as http:
            if self._late:
                late, self._late = self._late, []
                await http.post(f"/v2/models/{NAME}/labels", json=late)
            await asyncio.gather(*(self._ask(http) for _ in range(REQUESTS_PER_WINDOW)))

    async def _ask(self, http: httpx.AsyncClient) -> None:
        number = self._sent
        self._sent += 1
        record = self.records[number % len(self.records)]
        words = {name: repr(value) for name, value in record.items()}
        label = self.truth(words, self.labels[number % len(self.records)])
        body = {
            "id": f"q-{number}",
            "inputs": [
                {"name": name, "shape": [1, 1], "datatype": "FP32", "data": [value]}
                for name, value in record.items()
            ],
        }
        self.tally.sent += 1
        try:
            answer = await http.post(f"/v2/models/{NAME}/infer", json=body)
            answer.raise_for_status()
            outputs = {output["name"]: output["data"] for output in answer.json()["outputs"]}
        except (httpx.HTTPError, ValueError, KeyError) as error:
            self.tally.failed += 1
            self.tally.last_failure = repr(error)
            return
        self.tally.right += int(outputs["label"][0]) == label
        self._late.append({"id": f"q-{number}", "label": label})

    # ----------------------------------------------------------------- trainings

    def _start(self, stored: Stored[Action]) -> None:
        """Carries out a retraining; it takes half an hour of the engine's clock."""
        run_id, digest, reason = self._train()
        ended = Ended(
            window=self._window + TRAINING_WINDOWS, run_id=run_id, digest=digest, reason=reason
        )
        self._training[stored.value.action_id] = ended
        begun = dataclasses.replace(stored.value, state=ActionState.STARTED, run_id=RunId(run_id))
        self.ledger.commit("benchmark.start", [Put(ACTIONS, begun, stored.version)])

    def _finish(self, action_id: str, ended: Ended) -> None:
        """Says what became of a retraining, as the engine's planning does."""
        del self._training[action_id]
        stored = self.ledger.get(ACTIONS, action_id)
        assert stored is not None
        state = ActionState.FAILED if ended.reason else ActionState.DONE
        done = dataclasses.replace(
            stored.value, state=state, ended_at=self.clock.now(), result=ended.reason
        )
        self.ledger.commit("benchmark.end", [Put(ACTIONS, done, stored.version)])
        if not ended.reason:
            self.swaps.append(ended.digest)
            self._note(ended.run_id, ended.digest)

    def _note(self, run_id: str, digest: str) -> None:
        """Notes that a model began to serve; causes are looked for in what changed."""
        deployed = Deployment(
            pipeline=PipelineName(NAME),
            task=TaskName("serve"),
            run_id=RunId(run_id),
            wanted=Digest(digest),
            serving=Digest(digest),
        )
        event = news.deployment_changed(deployed, self.clock.now(), f"{NAME} serves another model")
        self.ledger.commit("benchmark.event", [Put(EVENTS, event)])

    def _train(self) -> tuple[str, str, str]:
        """Runs the pipeline's tasks up to the package; returns run, digest, and what failed."""
        self._runs += 1
        run_id = f"r-{self._runs}"
        tasks = Tasks(self.home / run_id, self.home / "models", run_id)
        spec = {task.name: task for task in self.spec.tasks}
        etl = spec[TaskName("etl")]
        families = [task for task in self.spec.tasks if task.kind is TaskKind.TRAIN]
        gates = spec[TaskName("compare")].gates
        tasks.run(
            "etl", "etl", reads=str(self.upstream), target=etl.target, schema=dict(etl.schema)
        )
        tasks.run("features", "features", "etl")
        for task in families:
            trials = min(task.trials or self.trials, self.trials)
            tasks.run(task.name, "train", "features", model=list(task.model), trials=trials)
        self._hear(tasks, run_id, ["etl", "features", *(str(task.name) for task in families)])
        names = [str(task.name) for task in families]
        assert gates is not None
        try:
            wanted = {"quality_at_least": gates.quality_at_least, "outputs": list(gates.outputs)}
            judged = tasks.run("compare", "evaluate", *names, gates=wanted)
            self.gates.append(f"{run_id}: passed with {judged['quality']:.3f}")
        except TaskError as error:
            self.gates.append(f"{run_id}: {error}")
            return run_id, "", str(error)
        return run_id, str(tasks.run("package", "package", str(judged["best"]))["digest"]), ""

    def _hear(self, tasks: Tasks, run_id: str, names: list[str]) -> None:
        """Takes the signals of the tasks to be of now."""
        at = self.clock.now()
        for name in names:
            path = tasks.home / name / "signals.jsonl"
            for line in path.read_bytes().splitlines() if path.exists() else ():
                found = model_documents.decode(Signal, line)
                at += 1e-6
                labels = {"pipeline": NAME, "task": name, "run": run_id, **found.labels}
                self.queue.signals.append(dataclasses.replace(found, at=at, labels=labels))


def opened(home: Path, heart: Path, *, trials: int) -> World:
    """Returns a service that has not begun, with a watch loop as the engine wires it."""
    home.mkdir(parents=True)
    space = _live.prepared(home, heart)
    settings = Settings(home=home, rules=space.rules, clock_factor=_live.CLOCK_FACTOR)
    clock, ledger, queue = VirtualClock(START), MemoryLedger(), Queue()
    made = parts.build(settings)
    made.close()
    own = dataclasses.replace(made, clock=clock, ledger=ledger, closers=())
    text = space.spec.read_text(encoding="utf-8")
    spec = documents.read_pipeline(text, name=space.spec.name, as_of=START)
    ledger.commit("benchmark.pipeline", [Put(PIPELINES, spec)])
    watcher = loop_parts.watcher(
        own,
        store.begin_term(ledger, clock, "benchmark"),
        (queue,),
        (),
        loop_parts.detection_of(settings),
    )
    recorder = Recorder(pipeline=NAME)
    return World(
        home=home,
        upstream=space.upstream,
        spec=spec,
        records=space.held_out,
        labels=space.labels,
        trials=trials,
        clock=clock,
        ledger=ledger,
        queue=queue,
        recorder=recorder,
        windows=Windows(cast("Task", recorder)),
        step=watcher.step,
    )


def told(world: World) -> str:
    """Returns the super-alarms with their likely causes, for whoever reads a failed figure."""
    lines: list[str] = []
    for stored in world.ledger.select(SUPER_ALARMS):
        group = stored.value
        causes = ", ".join(f"{cause.title} {cause.belief:.2f}" for cause in group.causes[:3])
        lines.append(f"{group.super_alarm_id} {group.state.value}: {causes}")
    return "\n".join(lines)
