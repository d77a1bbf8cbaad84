"""`ContainerExecutor` against the suite of its port, with real containers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from engine.clocks import SystemClock
from engine.model.dispatches import AttemptOrder
from engine.model.identifiers import AttemptId
from engine.ports import Executor
from engine.testing.executor_suite import Behaviour, ClearingExecutorSuite
from executors.containers import ContainerExecutor
from tests.support.containers import BerthMachine, PodmanMachine, required
from tests.support.local_cluster import LASTS, WRITES, LocalCluster

PROGRAMS = {
    Behaviour.SUCCEEDS: WRITES,
    Behaviour.FAILS: "raise SystemExit(3)",
    Behaviour.LASTS: LASTS,
}


@pytest.fixture(scope="module")
def machine() -> Iterator[PodmanMachine]:
    required()
    made = PodmanMachine()
    yield made
    made.close()


class TestContainerExecutor(ClearingExecutorSuite):
    @pytest.fixture(autouse=True)
    def _cluster(self, tmp_path: Path, machine: PodmanMachine) -> None:
        self.cluster = LocalCluster(tmp_path)
        self.settings = machine.settings

    @pytest.fixture
    def executor(self) -> Executor:
        return self.made()

    def made(self) -> ContainerExecutor:
        here = self.cluster
        return ContainerExecutor(
            here.home, here.source, here.artifacts, SystemClock(), self.settings
        )

    def order(self, attempt: AttemptId, behaviour: Behaviour) -> AttemptOrder:
        command = (self.settings.python, "-c", PROGRAMS[behaviour])
        return replace(self.cluster.order(""), attempt_id=attempt, command=command)

    def reopened(self, executor: Executor) -> Executor:
        return self.made()

    def start_count(self, executor: Executor, attempt: AttemptId) -> int:
        path = self.cluster.home / "started.log"
        lines = path.read_text().splitlines() if path.exists() else []
        return sum(line.split()[0] == attempt for line in lines)

    def cut_off(self, executor: Executor, order: AttemptOrder) -> None:
        self.cluster.switch.fail(order.cluster)


@pytest.mark.network
@pytest.mark.slow
@pytest.mark.timeout(600)
class TestContainerExecutorWithBerthInside(TestContainerExecutor):
    """What succeeds is the built-in etl task, in the image that Berth builds."""

    outputs: ClassVar[Mapping[str, object]] = {"rows": 3, "nulls": 0, "columns": 2}

    @pytest.fixture(autouse=True)
    def _cluster(self, tmp_path: Path, berth_machine: BerthMachine) -> None:
        self.cluster = LocalCluster(tmp_path / "home")
        self.settings = berth_machine.settings
        self.folder = tmp_path / "folder"
        self.folder.mkdir()
        (self.folder / "rows.csv").write_text("age,target\n61,0\n52,1\n70,1\n")

    def order(self, attempt: AttemptId, behaviour: Behaviour) -> AttemptOrder:
        order = super().order(attempt, behaviour)
        if behaviour is not Behaviour.SUCCEEDS:
            return order
        reads = {"reads": str(self.folder / "rows.csv"), "target": "target"}
        task = {"name": "task", "after": (), "schema": {"age": "years"}, **reads}
        given = {"task": task, "pipeline": "heart", "seed": 7, "overrides": {}, "upstream": {}}
        return replace(order, command=(), parameters=given, folder=str(self.folder))
