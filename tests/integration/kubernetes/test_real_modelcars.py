"""Packages as modelcars: the node pulls them, and Berth's own server loads what KServe shows."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import urllib.request
from collections.abc import Iterator

import pytest

from benchmarks.packaging import _model
from engine.model.dispatches import AttemptOrder, AttemptState
from engine.model.errors import RetryableError
from engine.model.identifiers import (
    AttemptId,
    PipelineName,
    TaskName,
)
from engine.model.specs import TaskKind
from engine.testing.executor_suite import ended, seen
from executors.kubernetes import rights
from executors.kubernetes.kinds.addresses import INFERENCE_SERVICE, KINDS
from executors.packaging import images
from tests.support.clusters import kserve, operators, own_image, programs
from tests.support.clusters.fixtures import api_of
from tests.support.clusters.real_node import RealCluster, RealWorkplace, order

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.timeout(600)]
ATTEMPT = AttemptId("r-1.serve.1")
PULLED_SECONDS_MAX = 300.0
"""The first pods of a node wait for it to pull Berth's image."""


@pytest.fixture(scope="module")
def workplace(
    real_cluster: RealCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RealWorkplace]:
    made = real_cluster.plane
    operators.define(api_of(made.kubeconfig, made.folder.name), INFERENCE_SERVICE)
    home = tmp_path_factory.mktemp("home")
    (home / "layers").symlink_to(own_image.LAYERS)
    settings = {
        "serves_as": "inferenceservice",
        "modelcars": f"{real_cluster.node.registry}/models",
    }
    workplace = RealWorkplace(real_cluster, home, more=rights.INFERENCE, settings=settings)
    yield workplace
    workplace.close()


def serving(workplace: RealWorkplace) -> AttemptOrder:
    """Return an order to serve a package that is in the artefact store."""
    layout = workplace.home / "package"
    images.write_image(layout, _model.files(1), labels={"berth.family": "logistic"})
    return dataclasses.replace(
        order("serve", ""),
        pipeline=PipelineName("iris"),
        kind=TaskKind.SERVE,
        command=(),
        inputs={TaskName("package"): workplace.artifacts.put(layout)},
    )


def test_a_server_loads_its_model_from_a_modelcar(workplace: RealWorkplace) -> None:
    executor, place = workplace.executor, workplace.place
    wanted = serving(workplace)
    link = workplace.clusters.links()["east"]
    programs.wait_until(lambda: link.serves, "the rights to serve")
    with contextlib.suppress(RetryableError):  # the shell is laid out, which takes seconds once
        executor.start(wanted)
    path = KINDS[INFERENCE_SERVICE].path(place.namespace)

    def is_asked_for() -> bool:
        executor.observe()
        return bool(place.admin.call("GET", path)["items"])

    programs.wait_until(is_asked_for, "the InferenceService")
    kserve.play(place)
    endpoints: list[str] = []

    def is_ready() -> bool:
        last = seen(executor, ATTEMPT)
        endpoints.extend([last.endpoint] if last is not None and last.endpoint else [])
        return bool(endpoints)

    programs.wait_until(is_ready, "the server", PULLED_SECONDS_MAX)
    assert answered(endpoints[0]) == _model.onnx(1)[1]["labels"]
    executor.stop(ATTEMPT)
    assert ended(executor, ATTEMPT).state is AttemptState.STOPPED


def answered(endpoint: str) -> object:
    """Return what a server answers to the rows of the example."""
    rows = _model.onnx(1)[1]["rows"]
    assert isinstance(rows, list)
    data = [value for row in rows for value in row]
    tensor = {"name": "features", "shape": [len(rows), 4], "datatype": "FP64", "data": data}
    body = json.dumps({"inputs": [tensor]}).encode()
    with urllib.request.urlopen(f"{endpoint}/v2/models/iris/infer", body, timeout=120) as answer:
        return {each["name"]: each["data"] for each in json.load(answer)["outputs"]}["label"]
