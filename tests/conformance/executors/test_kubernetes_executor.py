"""`KubernetesExecutor` against the suite of its port, on a real API server with few rights.

Pods are run as processes of this machine; all else (API, controllers, scheduler) is real.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine.model.dispatches import AttemptOrder
from engine.model.identifiers import AttemptId
from engine.ports import Executor
from engine.testing.executor_suite import Behaviour, ExecutorSuite
from tests.support.clusters.fixtures import (
    Place,
    admin,
    control_plane,
    node,
    place,
)
from tests.support.clusters.process_kubelet import ProcessKubelet
from tests.support.clusters.workplace import PROGRAMS, Workplace

__all__ = ["admin", "control_plane", "node", "place"]

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.timeout(600)]


class TestKubernetesExecutor(ExecutorSuite):
    @pytest.fixture(autouse=True)
    def _workplace(self, place: Place, node: ProcessKubelet, tmp_path: Path) -> Iterator[None]:
        self.node = node
        self.workplace = Workplace(place, tmp_path)
        yield
        self.workplace.close()

    @pytest.fixture
    def executor(self) -> Executor:
        return self.workplace.executor

    def order(self, attempt: AttemptId, behaviour: Behaviour) -> AttemptOrder:
        return self.workplace.order(PROGRAMS[behaviour], attempt)

    def reopened(self, executor: Executor) -> Executor:
        return self.workplace.reopened()

    def start_count(self, executor: Executor, attempt: AttemptId) -> int:
        # Every test has a namespace and an installation of its own, but the node is shared.
        return self.workplace.starts(self.node, attempt)

    def cut_off(self, executor: Executor, order: AttemptOrder) -> None:
        self.workplace.cut_off()


def test_the_order_of_a_pool_that_is_not_there_is_put_off(
    place: Place, node: ProcessKubelet, tmp_path: Path
) -> None:
    workplace = Workplace(place, tmp_path)
    order = replace(workplace.order("", AttemptId("r-1.task.1")), pool="elsewhere")
    told = workplace.executor.start_all([order])
    workplace.close()
    assert "no pool" in str(told[order.attempt_id])
