"""Tasks as containers of a real node, in Berth's own image, pulled from a registry."""

from __future__ import annotations

import dataclasses
import json
import math
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.packaging import _model
from engine.model.dispatches import AttemptState, Reason
from engine.model.identifiers import (
    PipelineName,
    TaskName,
)
from engine.model.signals import Signal
from engine.model.specs import TaskKind
from engine.testing.executor_suite import ended, eventually
from executors.kubernetes.paths import log_path
from executors.kubernetes.servers import Servers
from executors.packaging import images
from tests.support.clusters import programs
from tests.support.clusters.real_node import RealCluster, RealWorkplace, order

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.timeout(600)]

READS = """
import json, os
from pathlib import Path
given = Path(os.environ["BERTH_INPUTS"], "etl", "rows.txt").read_text()
print("read", given, "as", os.getuid())
out = Path(os.environ["BERTH_OUTPUTS"])
(out / "model.bin").write_text(given * 2)
(out / "outputs.json").write_text(json.dumps({"rows": len(given)}))
"""
HOARDS = 'x = [b"x" * (1 << 20 | n) for n in range(4096)]'


@pytest.fixture(scope="module")
def workplace(
    real_cluster: RealCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RealWorkplace]:
    made = RealWorkplace(real_cluster, tmp_path_factory.mktemp("home"))
    yield made
    made.close()


def test_a_task_runs_in_a_container_with_inputs_outputs_and_log(
    workplace: RealWorkplace, tmp_path: Path
) -> None:
    folder = tmp_path / "etl"
    folder.mkdir()
    (folder / "rows.txt").write_text("1234")
    inputs = {TaskName("etl"): workplace.artifacts.put(folder)}
    wanted = dataclasses.replace(order("train", READS), inputs=inputs)
    workplace.executor.start(wanted)
    last = ended(workplace.executor, wanted.attempt_id)
    assert (last.state, last.message) == (AttemptState.SUCCEEDED, "")
    assert last.outputs == {"rows": 4}
    assert last.artifact is not None
    workplace.artifacts.fetch(last.artifact, tmp_path / "outputs")
    assert (tmp_path / "outputs" / "model.bin").read_text() == "12341234"
    log = log_path(workplace.home, wanted.attempt_id).read_text("utf-8")
    assert "read 1234 as 65532" in log


def test_a_container_over_its_memory_is_told_as_out_of_memory(workplace: RealWorkplace) -> None:
    wanted = order("hoard", HOARDS)
    workplace.executor.start(wanted)
    last = ended(workplace.executor, wanted.attempt_id)
    assert (last.state, last.reason) == (AttemptState.FAILED, Reason.OUT_OF_MEMORY)


def test_what_lasts_is_stopped_with_its_container(workplace: RealWorkplace) -> None:
    wanted = order("lasts", "import time; time.sleep(600)")
    workplace.executor.start(wanted)
    workplace.executor.stop(wanted.attempt_id)
    assert ended(workplace.executor, wanted.attempt_id).state is AttemptState.STOPPED


def test_a_model_is_served_and_another_follows_it(workplace: RealWorkplace) -> None:
    packages = []
    for number in (1, 2):
        layout = workplace.home / f"package-{number}"
        images.write_image(layout, _model.files(number), labels={})
        packages.append(workplace.artifacts.put(layout))
    wanted = dataclasses.replace(
        order("serve", ""),
        pipeline=PipelineName("iris"),
        kind=TaskKind.SERVE,
        command=(),
        inputs={TaskName("package"): packages[0]},
    )
    workplace.executor.start(wanted)
    first = eventually(workplace.executor, wanted.attempt_id, lambda seen: bool(seen.endpoint))
    assert labels(first.endpoint) == _model.onnx(1)[1]["labels"]
    measured = windows(workplace, at_least={"requests", "quality", "feature_median"})
    assert {each.labels["cluster"] for each in measured} == {"east"}
    assert sum(each.value for each in measured if each.name == "requests") == 1
    assert {each.value for each in measured if each.name == "quality"} == {1.0}
    servers: Servers = workplace.executor.servers
    seen = eventually(
        workplace.executor,
        wanted.attempt_id,
        lambda seen: (
            servers.swap(wanted.attempt_id, packages[1]) == packages[1] and bool(seen.endpoint)
        ),
    )
    last = eventually(workplace.executor, wanted.attempt_id, lambda each: bool(each.endpoint))
    assert labels(last.endpoint or seen.endpoint) == _model.onnx(2)[1]["labels"]
    workplace.executor.stop(wanted.attempt_id)
    assert ended(workplace.executor, wanted.attempt_id).state is AttemptState.STOPPED


def windows(workplace: RealWorkplace, at_least: set[str]) -> list[Signal]:
    """Return what a server told of itself, once all of some signals are among it."""
    found: list[Signal] = []

    def is_told() -> bool:
        found[:] = workplace.executor.journal.read("", until=math.inf)[0]
        return at_least <= {each.name for each in found}

    programs.wait_until(is_told, f"{at_least}")
    return found


def labels(endpoint: str) -> object:
    """Return what a server answers to the rows of the example, and say that it was right."""
    rows = _model.onnx(1)[1]["rows"]
    assert isinstance(rows, list)
    data = [value for row in rows for value in row]
    tensor = {"name": "features", "shape": [len(rows), 4], "datatype": "FP64", "data": data}
    body = json.dumps({"id": "q-1", "inputs": [tensor]}).encode()
    with urllib.request.urlopen(f"{endpoint}/v2/models/iris/infer", body, timeout=120) as answer:
        outputs = {each["name"]: each["data"] for each in json.load(answer)["outputs"]}
    told = json.dumps([{"id": "q-1", "label": outputs["label"]}]).encode()
    with urllib.request.urlopen(f"{endpoint}/v2/models/iris/labels", told, timeout=120) as answer:
        assert json.load(answer) == {"matched": 1, "unknown": 0}
    return outputs["label"]
