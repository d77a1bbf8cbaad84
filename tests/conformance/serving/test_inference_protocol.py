"""Our model server keeps the Open Inference Protocol, over REST and gRPC."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sklearn.linear_model import LogisticRegression

from executors.serving.conformance.grpc_suite import GrpcSuite
from executors.serving.conformance.rest_suite import BinarySuite, RestSuite
from executors.serving.conformance.sample import Sample, SampleTensor, ServerAddress
from tests.unit.serving.conftest import LABELS, ROWS, Running, write_version


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerAddress]:
    repository: Path = tmp_path_factory.mktemp("conformance")
    write_version(repository / "iris" / "1")
    found = Running(repository, with_grpc=True)
    yield ServerAddress(rest_port=found.client.port, grpc_port=found.client.grpc_port)
    found.end()


@pytest.fixture(scope="module")
def iris() -> Sample:
    """A request and its answer by scikit-learn itself."""
    rows = ROWS[[0, 70, 120]]
    model = LogisticRegression(max_iter=1000).fit(ROWS, LABELS)
    data = [float(value) for value in rows.ravel()]
    chances = [float(value) for value in model.predict_proba(rows).ravel()]
    labels = [int(value) for value in model.predict(rows)]
    return Sample(
        model="iris",
        version="1",
        inputs=[SampleTensor(name="features", datatype="FP64", shape=[3, 4], data=data)],
        outputs=[
            SampleTensor(name="label", datatype="INT64", shape=[3], data=labels),
            SampleTensor(name="probability", datatype="FP64", shape=[3, 3], data=chances),
        ],
    )


class _Ours:
    @pytest.fixture
    def address(self, served: ServerAddress) -> ServerAddress:
        return served

    @pytest.fixture
    def sample(self, iris: Sample) -> Sample:
        return iris


class TestRest(_Ours, RestSuite):
    """The protocol's REST API."""


class TestBinary(_Ours, BinarySuite):
    """The extension of binary tensor data."""


class TestGrpc(_Ours, GrpcSuite):
    """The protocol's gRPC API."""
