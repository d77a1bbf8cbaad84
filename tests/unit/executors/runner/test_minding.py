"""The runner goes past neither the engine, nor the policy, nor the audit file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from executors.packaging.security.policies.gate import Gate
from executors.packaging.security.signing import keys
from executors.serving.models import ServedModel
from executors.serving.runner import OwnSlot, Runner, process
from executors.serving.runner.errors import CallError
from executors.serving.runner.runner import Parts
from executors.serving.runner.schema import compile_schema
from tests.support.heart_tasks import HeartTasks
from tests.unit.executors.runner.conftest import PAIRS, model_of


@dataclass
class Pipeline:
    """A pipeline's server."""

    model: ServedModel


@pytest.fixture
def audit(tmp_path: Path) -> Path:
    return tmp_path / "runner.jsonl"


def beside(pipeline: Pipeline, audit: Path) -> Runner:
    slot = process.ServerSlot(pipeline, "m")
    files = process.Files(audit=audit)
    return Runner(slot, schema=compile_schema(PAIRS), record=files.record)


def test_what_a_pipeline_serves_is_put_by_the_engine_only(audit: Path) -> None:
    pipeline = Pipeline(model_of("m", "ab"))
    runner = beside(pipeline, audit)
    with pytest.raises(CallError, match="which decides what serves") as refused:
        runner.put(Parts(model=model_of("n", "ab")))
    assert (refused.value.status, pipeline.model.name) == (409, "m")
    runner.put(Parts(model=model_of("m", "ab"), schema=compile_schema(PAIRS)))
    actions = [json.loads(line)["action"] for line in audit.read_text().splitlines()]
    assert actions == ["refused", "swap"]


def test_a_package_is_put_only_if_the_policy_allows_it(heart: HeartTasks, tmp_path: Path) -> None:
    layout = heart.outputs("package-tree")
    gate = Gate({"BERTH_HOME": str(tmp_path)})
    assert process.from_files(layout, process.Files(gate=gate)).state.parts.model is not None
    key = keys.make(tmp_path / "other.key", passphrase=None)
    (tmp_path / "other.pub").write_bytes(key.pem)
    (tmp_path / "policy.yaml").write_text("policy: strict\nsignatures: {by: other.pub}\n")
    with pytest.raises(Exception, match="strict"):
        process.from_files(layout, process.Files(gate=gate))
    with pytest.raises(CallError, match="bare file") as refused:
        Runner(OwnSlot(), gate=gate).load(b"onnx")
    assert refused.value.status == 403


def test_what_another_policy_allowed_is_judged_again(tmp_path: Path) -> None:
    gate = Gate({"BERTH_HOME": str(tmp_path)})
    runner = Runner(OwnSlot(), gate=gate)
    with pytest.raises(CallError, match="neither a package nor ONNX"):
        runner.load(b"onnx")
    (tmp_path / "policy.yaml").write_text("policy: x\nworst: lowest\n")
    with pytest.raises(CallError, match="policy"):
        runner.load(b"onnx")
