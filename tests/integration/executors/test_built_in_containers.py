"""Built-in tasks in containers: in the image that Berth builds, and refused in one without it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from engine.clocks import SystemClock
from engine.model.dispatches import AttemptState, Observation
from engine.model.errors import RefusedError
from engine.model.identifiers import AttemptId, Digest, TaskName
from engine.model.resources import Resources
from engine.model.specs import TaskKind
from engine.testing.executor_suite import ended
from executors.containers import ContainerExecutor
from executors.packaging import images
from tests.support.containers import BerthMachine, PodmanMachine
from tests.support.heart_tasks import CSV, ETL
from tests.support.local_cluster import WRITES, LocalCluster

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.timeout(600)]
STEPS: tuple[tuple[TaskKind, str, Mapping[str, object]], ...] = (
    (TaskKind.ETL, "", ETL),
    (TaskKind.FEATURES, "etl", {}),
    (TaskKind.TRAIN, "features", {"model": ["tree"], "trials": 1}),
    (TaskKind.PACKAGE, "train", {}),
)


class Pipeline:
    """The tasks of the heart pipeline, one after the other, each in a container."""

    def __init__(self, home: Path, machine: BerthMachine) -> None:
        self.cluster = LocalCluster(home)
        here = self.cluster
        self.executor = ContainerExecutor(
            home, here.source, here.artifacts, SystemClock(), machine.settings
        )
        self.ends: dict[str, Observation] = {}

    def run(self, kind: TaskKind, after: str, spec: Mapping[str, object]) -> Observation:
        """Run a task on what the one before it left; return its end."""
        known = {name: seen for name, seen in self.ends.items() if name == after}
        order = replace(
            self.cluster.order("", limits=Resources(cpu_cores=2.0, memory_gib=2.0)),
            attempt_id=AttemptId(f"r-1.{kind}.1"),
            task=TaskName(kind),
            kind=kind,
            folder=str(CSV.parent),
            inputs={TaskName(name): Digest(str(seen.artifact)) for name, seen in known.items()},
            parameters={
                "task": {"name": kind, "after": tuple(known), **spec},
                "pipeline": "heart",
                "seed": 7,
                "overrides": {},
                "upstream": {name: dict(seen.outputs) for name, seen in known.items()},
            },
        )
        self.executor.start(order)
        self.ends[kind] = ended(self.executor, order.attempt_id)
        return self.ends[kind]


def test_a_pipeline_of_built_in_tasks_runs_in_the_image_that_berth_builds(
    berth_machine: BerthMachine, tmp_path: Path
) -> None:
    pipeline = Pipeline(tmp_path, berth_machine)
    for kind, after, spec in STEPS:
        seen = pipeline.run(kind, after, spec)
        assert (seen.state, seen.message) == (AttemptState.SUCCEEDED, "")
    last = pipeline.ends[TaskKind.PACKAGE]
    assert last.artifact is not None
    pipeline.cluster.artifacts.fetch(last.artifact, tmp_path / "package")
    package = images.read_image(tmp_path / "package")
    assert package.digest == last.outputs["digest"]
    assert package.metadata["family"] == "tree"
    assert berth_machine.names() == []


def test_a_built_in_task_is_refused_in_an_image_without_berth(
    berth_machine: BerthMachine, tmp_path: Path
) -> None:
    plain = PodmanMachine.settings.fget(berth_machine)  # type: ignore[attr-defined]
    here = LocalCluster(tmp_path)
    executor = ContainerExecutor(tmp_path, here.source, here.artifacts, SystemClock(), plain)
    with pytest.raises(RefusedError, match="holds no Berth") as raised:
        executor.start(here.order(""))
    assert "berth image build" in raised.value.fix
    assert list((tmp_path / "attempts").iterdir()) == []
    own = replace(here.order(""), command=(plain.python, "-c", WRITES))
    executor.start(own)
    assert ended(executor, own.attempt_id).state is AttemptState.SUCCEEDED
