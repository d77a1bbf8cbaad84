"""The fakes keep the contracts of the ports that they stand for."""

from __future__ import annotations

from typing import cast

import pytest

from engine.clocks import SystemClock
from engine.model import documents
from engine.model.dispatches import AttemptOrder, AttemptState, Deployment, Reason
from engine.model.identifiers import AttemptId, ClusterName, Digest, PipelineName, RunId, TaskName
from engine.model.resources import Resources
from engine.model.specs import TaskKind
from engine.ports import ArtifactStore, Executor, ModelServer
from engine.testing.artifact_suite import ArtifactSuite
from engine.testing.clocks import ManualClock
from engine.testing.executor_suite import (
    Behaviour,
    ClearingExecutorSuite,
    SuspendingExecutorSuite,
)
from engine.testing.fakes import (
    InstantExecutor,
    InstantModelServer,
    InstantSuspendingExecutor,
    MemoryArtifacts,
    Outcome,
)
from engine.testing.model_server_suite import ModelServerSuite
from engine.testing.samples import POOL

OUTCOMES = {
    Behaviour.SUCCEEDS: Outcome(outputs={"rows": 3}, seconds=0.02),
    Behaviour.FAILS: Outcome(state=AttemptState.FAILED, reason=Reason.EXIT_CODE),
    Behaviour.LASTS: Outcome(state=AttemptState.RUNNING),
}


class TestInstantExecutor(ClearingExecutorSuite):
    @pytest.fixture
    def executor(self) -> Executor:
        return InstantExecutor(SystemClock(), lambda order: OUTCOMES[Behaviour(order.folder)])

    def order(self, attempt: AttemptId, behaviour: Behaviour) -> AttemptOrder:
        return AttemptOrder(
            attempt_id=attempt,
            run_id=RunId("r-1"),
            pipeline=PipelineName("heart"),
            task=TaskName("task"),
            kind=TaskKind.ETL,
            cluster=ClusterName("a"),
            pool=POOL,
            command=(),
            folder=behaviour.value,
            inputs={},
            parameters={},
            limits=Resources(memory_gib=1.0),
        )

    def reopened(self, executor: Executor) -> Executor:
        return executor

    def start_count(self, executor: Executor, attempt: AttemptId) -> int:
        return cast("InstantExecutor", executor).starts[attempt]

    def cut_off(self, executor: Executor, order: AttemptOrder) -> None:
        cast("InstantExecutor", executor).fail(order.cluster)


class TestInstantSuspendingExecutor(SuspendingExecutorSuite, TestInstantExecutor):
    @pytest.fixture
    def executor(self) -> Executor:
        return InstantSuspendingExecutor(
            SystemClock(), lambda order: OUTCOMES[Behaviour(order.folder)]
        )


class TestMemoryArtifacts(ArtifactSuite):
    @pytest.fixture
    def store(self) -> ArtifactStore:
        return MemoryArtifacts(ManualClock(1_000.0))

    def damage(self, store: ArtifactStore, digest: Digest) -> None:
        cast("MemoryArtifacts", store).damage(digest)


class TestInstantModelServer(ModelServerSuite):
    @pytest.fixture
    def server(self, bad: Digest) -> ModelServer:
        server = InstantModelServer()
        server.bad.add(bad)
        server.down.add("http://127.0.0.1:9")
        return server

    @pytest.fixture
    def deployment(self) -> Deployment:
        return Deployment(
            pipeline=PipelineName("heart"),
            task=TaskName("serve"),
            run_id=RunId("r-1"),
            wanted=documents.sha256(b"one"),
            endpoint="http://memory",
        )

    @pytest.fixture
    def other(self) -> Digest:
        return documents.sha256(b"two")

    @pytest.fixture
    def bad(self) -> Digest:
        return documents.sha256(b"bad")

    def served(self, server: ModelServer, deployment: Deployment) -> Digest | None:
        return cast("InstantModelServer", server).served.get(deployment.endpoint)
