"""Two real heart-disease models, packaged by the built-in tasks and served as a task."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from engine.clocks import SystemClock
from engine.model import documents
from engine.model.dispatches import AttemptOrder, AttemptState, Observation
from engine.model.fleet import Cluster, Fleet, NodeShape, Pool, Provider
from engine.model.identifiers import (
    ClusterName,
    Digest,
    MicroDollars,
    PipelineName,
    PoolName,
    RunId,
    TaskName,
    attempt_id,
)
from engine.model.resources import Resources
from engine.model.specs import Gates, TaskKind, TaskSpec
from executors.local import ClusterSwitch, FileFleetSource, FolderArtifacts, LocalExecutor

RUN = RunId("r-1")
PIPELINE = PipelineName("heart")
UNITS = {"age": "years", "trestbps": "mmHg", "chol": "mg/dL", "thalach": "bpm", "oldpeak": "mm"}
LIMIT_SECONDS = 120.0


def task(name: str, kind: TaskKind, *after: str, **fields: object) -> TaskSpec:
    """Returns a task of the heart pipeline."""
    document = {"name": name, "kind": kind, "after": after, **fields}
    return documents.adapter(TaskSpec).validate_python(document)


class Heart:
    """The heart pipeline on one local cluster, task by task.

    Attributes:
        home: The data folder.
        executor: What runs the tasks.
        ended: The last observation of every task that ended.
    """

    def __init__(self, home: Path, data: Path) -> None:
        pool = Pool(
            name=PoolName("nodes"),
            shape=NodeShape(machine="local", cpu_cores=2, memory_gib=8),
            node_count=1,
            price_micro_dollars_per_hour=MicroDollars(0),
        )
        cluster = Cluster(
            name=ClusterName("here"),
            provider=Provider.ON_PREMISES,
            region="here",
            continent="eu",
            pools=(pool,),
        )
        source = FileFleetSource(Fleet(clusters=(cluster,)), ClusterSwitch(home))
        self.home = home
        self.ended: dict[str, Observation] = {}
        self._data = data
        artifacts = FolderArtifacts(home / "artifacts")
        self.executor = LocalExecutor(home, source, artifacts, SystemClock())

    def package(self, families: Sequence[str], *, trials: int) -> dict[str, Digest]:
        """Runs the pipeline up to one package for each family; returns their artefacts."""
        columns = {"reads": str(self._data), "target": "target", "schema": UNITS}
        self.run(task("etl", TaskKind.ETL, **columns))
        self.run(task("features", TaskKind.FEATURES, "etl"))
        gates = Gates(quality_at_least=0.5)
        for name in families:
            self.run(task(name, TaskKind.TRAIN, "features", model=(name,), trials=trials))
        self.run(task("compare", TaskKind.EVALUATE, *families, gates=gates))
        for name in families:
            self.run(task(f"package-{name}", TaskKind.PACKAGE, "compare", name))
        found = {name: self.ended[f"package-{name}"].artifact for name in families}
        return {name: digest for name, digest in found.items() if digest is not None}

    def run(self, spec: TaskSpec) -> Observation:
        """Runs a task to its end, which must be success."""
        self.start(spec)
        seen = self._until(spec.name, ended=True)
        if seen.state is not AttemptState.SUCCEEDED:
            raise RuntimeError(f"{spec.name}: {seen.reason.value}: {seen.message}")
        self.ended[spec.name] = seen
        return seen

    def serve(self, *after: str) -> str:
        """Starts the model server on a package; returns its address."""
        self.start(task("serve", TaskKind.SERVE, *after))
        return self._until(TaskName("serve"), ended=False).endpoint

    def stop(self) -> None:
        """Ends the model server."""
        self.executor.stop(attempt_id(RUN, TaskName("serve"), 1))
        self._until(TaskName("serve"), ended=True)

    def start(self, spec: TaskSpec) -> None:
        """Starts a task with what the tasks before it left."""
        inputs = {name: self.ended[name].artifact for name in spec.after}
        outputs: Mapping[str, object] = {name: dict(s.outputs) for name, s in self.ended.items()}
        parameters = {"task": documents.plain(spec), "pipeline": PIPELINE, "seed": 7}
        self.executor.start(
            AttemptOrder(
                attempt_id=attempt_id(RUN, spec.name, 1),
                run_id=RUN,
                pipeline=PIPELINE,
                task=spec.name,
                kind=spec.kind,
                cluster=ClusterName("here"),
                pool=PoolName("nodes"),
                command=(),
                folder=str(self.home),
                inputs={name: digest for name, digest in inputs.items() if digest is not None},
                parameters={**parameters, "overrides": {}, "upstream": outputs},
                limits=Resources(memory_gib=2.0),
            )
        )

    def _until(self, name: TaskName, *, ended: bool) -> Observation:
        """Waits until a task has ended, or until it says where it listens."""
        wanted = attempt_id(RUN, name, 1)
        limit = time.monotonic() + LIMIT_SECONDS
        while time.monotonic() < limit:
            for seen in self.executor.observe():
                if seen.attempt_id != wanted:
                    continue
                if seen.state.is_terminal or (seen.endpoint and not ended):
                    return seen
            time.sleep(0.02)
        raise TimeoutError(f"{name} took over {LIMIT_SECONDS:g} s")
