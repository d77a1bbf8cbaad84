"""`HttpModelServer` with a real server process against the suite of its port."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.model.dispatches import Deployment
from engine.model.identifiers import Digest, PipelineName, RunId, TaskName
from engine.ports import ModelServer
from engine.testing.model_server_suite import ModelServerSuite
from executors.local import FolderArtifacts
from executors.serving import HttpModelServer
from tests.support.heart_tasks import HeartTasks
from tests.support.model_server import ServerProcess


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> HeartTasks:
    found = HeartTasks(tmp_path_factory.mktemp("heart")).upto_features()
    for family in ("tree", "logistic"):
        found.upto_package(family)
    return found


@pytest.fixture(scope="module")
def running(tasks: HeartTasks) -> Iterator[ServerProcess]:
    environment = tasks.prepare("serve", "package-tree")
    environment["BERTH_ARTIFACTS"] = str(tasks.home / "artifacts")
    with ServerProcess(environment) as found:
        yield found


class TestHttpModelServer(ModelServerSuite):
    @pytest.fixture
    def store(self, tasks: HeartTasks) -> FolderArtifacts:
        return FolderArtifacts(tasks.home / "artifacts")

    @pytest.fixture(autouse=True)
    def _process(self, running: ServerProcess) -> None:
        self.process = running

    @pytest.fixture
    def server(self) -> ModelServer:
        return HttpModelServer()

    @pytest.fixture
    def deployment(self, store: FolderArtifacts, tasks: HeartTasks) -> Deployment:
        return Deployment(
            pipeline=PipelineName("heart"),
            task=TaskName("serve"),
            run_id=RunId("r-1"),
            wanted=store.put(tasks.outputs("package-tree")),
            endpoint=self.process.endpoint,
        )

    @pytest.fixture
    def other(self, store: FolderArtifacts, tasks: HeartTasks) -> Digest:
        return store.put(tasks.outputs("package-logistic"))

    @pytest.fixture
    def bad(self, store: FolderArtifacts, tmp_path: Path) -> Digest:
        (tmp_path / "bad").mkdir()
        (tmp_path / "bad" / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        return store.put(tmp_path / "bad")

    def served(self, server: ModelServer, deployment: Deployment) -> Digest | None:
        _, answer = self.process.get("/v2/models/heart")
        known = answer["parameters"]["digests"]
        return deployment.wanted if deployment.wanted in known else None
