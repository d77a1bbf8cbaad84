"""`LocalExecutor` against the suite of its port."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from engine.model.dispatches import AttemptOrder
from engine.model.identifiers import AttemptId
from engine.ports import Executor
from engine.testing.executor_suite import Behaviour, ClearingExecutorSuite
from tests.support.local_cluster import LASTS, WRITES, LocalCluster

PROGRAMS = {
    Behaviour.SUCCEEDS: WRITES,
    Behaviour.FAILS: "raise SystemExit(3)",
    Behaviour.LASTS: LASTS,
}


class TestLocalExecutor(ClearingExecutorSuite):
    @pytest.fixture(autouse=True)
    def _cluster(self, tmp_path: Path) -> None:
        self.cluster = LocalCluster(tmp_path)

    @pytest.fixture
    def executor(self) -> Executor:
        return self.cluster.executor

    def order(self, attempt: AttemptId, behaviour: Behaviour) -> AttemptOrder:
        return replace(self.cluster.order(PROGRAMS[behaviour]), attempt_id=attempt)

    def reopened(self, executor: Executor) -> Executor:
        return self.cluster.reopened()

    def start_count(self, executor: Executor, attempt: AttemptId) -> int:
        path = self.cluster.home / "started.log"
        lines = path.read_text().splitlines() if path.exists() else []
        return sum(line.split()[0] == attempt for line in lines)

    def cut_off(self, executor: Executor, order: AttemptOrder) -> None:
        self.cluster.switch.fail(order.cluster)
