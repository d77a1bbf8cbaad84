"""A running server on an iris classifier, in this process, with both faces."""

from __future__ import annotations

import asyncio
import functools
import json
import socket
import threading
from collections.abc import Coroutine, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.tree import DecisionTreeClassifier

from executors.packaging import convert
from executors.packaging.security.policies.gate import Gate
from executors.persistence import skops_io
from executors.serving import faces, standalone
from executors.serving.pushed import admit
from executors.serving.runtime.shelf import Shelf
from executors.serving.v2.application import Application
from executors.serving.v2.routes import Routes
from executors.serving.v2.service import InferenceService, Limits
from tests.unit.serving.client import Client

T = TypeVar("T")
ROWS, LABELS = load_iris(return_X_y=True)


def write_version(folder: Path, *, onnx: bool = False, **settings: object) -> Path:
    """A classifier of iris as a version of a model."""
    folder.mkdir(parents=True)
    if onnx:
        model = make_pipeline(DecisionTreeClassifier(max_depth=3, random_state=1))
        model.fit(ROWS, LABELS)
        data = convert.to_onnx(model, columns=4)
        assert data is not None
        (folder / "model.onnx").write_bytes(data)
    else:
        model = LogisticRegression(max_iter=1000).fit(ROWS, LABELS)
        skops_io.dump(model, folder / "model.skops")
    found = model.predict(ROWS[:2])
    given = {"name": "x", "datatype": "FP32", "shape": [2, 4], "data": ROWS[:2].ravel().tolist()}
    answer = {"name": "label", "datatype": "INT64", "shape": [2], "data": found.tolist()}
    (folder / "golden.json").write_text(json.dumps([{"inputs": [given], "outputs": [answer]}]))
    if settings:
        (folder / "model.json").write_text(json.dumps(settings))
    return folder


class Quiet(faces.Server):
    """Handles no signals: it runs in a thread."""

    async def serve_quietly(self, sockets: list[socket.socket]) -> None:
        await self._serve(sockets)


class Running:
    """A server in a thread of its own."""

    def __init__(
        self,
        repository: Path,
        limits: Limits | None = None,
        *,
        with_grpc: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._settings = standalone.ServerSettings(folder=repository, environment=environment or {})
        self._grpc_wanted = 0 if with_grpc else None
        self.shelf = Shelf(
            folder=repository,
            audit=repository / "audit.jsonl",
            is_starting=True,
            admit=functools.partial(admit, Gate(environment or {})),
        )
        self.service = InferenceService(shelf=self.shelf, limits=limits or Limits())
        self.repository = repository
        self.grpc_port = 0
        self._started = threading.Event()
        self._listening: socket.socket = faces.listen(0)
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._thread.start()
        assert self._started.wait(60)
        self.client = Client(self._listening.getsockname()[1], self.grpc_port)

    async def _serve(self) -> None:
        await standalone.load_all(self.shelf)
        self.loop = asyncio.get_running_loop()
        pushed = standalone.pushed_to(self._settings, self.shelf)
        application = Application(self.service, Routes(self.service, pushed=pushed).application)
        self._server = Quiet(faces.configuration(application, application))
        async with faces.rpc_server(self.service, "127.0.0.1", self._grpc_wanted) as port:
            self.grpc_port = port or 0
            serving = asyncio.create_task(self._server.serve_quietly([self._listening]))
            while not self._server.started:
                await asyncio.sleep(0.005)
            self._started.set()
            await serving
        await self.shelf.close()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the loop of the server."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(120)

    def end(self) -> None:
        self._server.should_exit = True
        self._thread.join(60)
        self._listening.close()


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    repository = tmp_path_factory.mktemp("repository")
    write_version(repository / "iris" / "1")
    found = Running(repository, Limits(body_bytes_max=1 << 20), with_grpc=True)
    yield found
    found.end()


@pytest.fixture
def client(running: Running) -> Client:
    return running.client


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    return np.asarray(ROWS)
