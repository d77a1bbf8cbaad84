"""Uploads are opened apart first; what they do there is told, and comes to nothing here."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from executors.packaging import images
from executors.packaging.security.sandbox.running import Answer, Begun
from executors.serving.runner import OwnSlot, Runner, uploads
from executors.serving.runner.errors import CallError
from executors.serving.runner.trials import Trials
from tests.support.heart_tasks import HeartTasks


@pytest.fixture
def trials() -> Iterator[Trials]:
    found = Trials()
    found.await_more()
    yield found
    found.close()
    found.close()


def greedy() -> bytes:
    """A model of 200 bytes that asks for 256 GiB as soon as it is asked."""
    size = numpy_helper.from_array(np.array([1 << 36], dtype=np.int64), "size")
    nodes = [
        helper.make_node("ConstantOfShape", ["size"], ["large"]),
        helper.make_node("ReduceSum", ["large"], ["sum"], keepdims=0),
        helper.make_node("Add", ["features", "sum"], ["sums"]),
        helper.make_node("ArgMax", ["sums"], ["label"], axis=1, keepdims=0),
    ]
    given = helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, 1])
    answer = helper.make_tensor_value_info("label", TensorProto.INT64, [None])
    graph = helper.make_graph(nodes, "g", [given], [answer], [size])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    data: bytes = onnx.ModelProto.SerializeToString(model)
    return data


def tar_of(layout: Path) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.add(layout, ".")
    return packed.getvalue()


def test_a_model_that_takes_all_memory_ends_apart(
    trials: Trials, monkeypatch: pytest.MonkeyPatch
) -> None:
    def here(_: bytes) -> None:
        raise AssertionError("it was opened here")

    monkeypatch.setattr(uploads, "_onnx", here)
    with pytest.raises(CallError) as caught:
        uploads.load(greedy(), trials=trials)
    assert caught.value.status == 422


@pytest.mark.parametrize("data", [b"\x08\x08", b""])
def test_what_is_none_is_told_as_before(data: bytes, trials: Trials) -> None:
    with pytest.raises(CallError, match=r"neither a package nor ONNX|empty"):
        uploads.load(data, trials=trials)


def test_a_limit_is_told(heart: HeartTasks) -> None:
    tight = Trials(seconds=0.001)
    with pytest.raises(CallError, match=r"cannot be opened: it takes longer") as caught:
        uploads.load(tar_of(heart.outputs("package-tree")), trials=tight)
    assert caught.value.status == 422


def test_each_upload_has_a_process_of_its_own(heart: HeartTasks, trials: Trials) -> None:
    runner = Runner(OwnSlot())
    runner.trials = trials
    layout = heart.outputs("package-tree")
    for number in range(3):
        data = tar_of(layout) + b"\0" * 512 * number
        assert runner.load(data).digest == images.read_image(layout).digest


def test_the_process_ahead_has_loaded_what_it_needs_once_it_was_awaited() -> None:
    trials = Trials()
    trials.await_loaded()  # none was begun, so that nothing is awaited
    trials.await_more()
    trials.await_loaded()
    trials.await_loaded()  # it is, so that nothing is awaited
    waiting = trials._ahead._waiting
    assert waiting is not None
    maps = Path(f"/proc/{waiting._process.pid}/maps").read_text()
    assert "onnxruntime" in maps
    with pytest.raises(CallError, match="neither a package nor ONNX"):
        uploads.load(b"\x08\x08", trials=trials)
    trials.close()


def test_a_process_that_ended_while_it_waited_is_replaced(
    trials: Trials, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = [False]
    monkeypatch.setattr(Begun, "is_alive", property(lambda _: states.pop()))
    with pytest.raises(CallError, match="neither a package nor ONNX"):
        uploads.load(b"\x08\x08", trials=trials)
    assert states == []


def test_links_that_a_process_left_are_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def takes_over(_: Begun, call: object) -> Answer:
        (tmp_path / "layout" / "oci-layout").symlink_to("/etc/passwd")
        return Answer(value={}, applied=(), missing=())

    monkeypatch.setattr(Begun, "make", takes_over)
    (tmp_path / "layout").mkdir()
    (tmp_path / "upload").write_bytes(b"x")
    trials = Trials()
    monkeypatch.setattr(trials._ahead, "take", lambda: Begun.__new__(Begun))
    with pytest.raises(CallError, match="no plain file"):
        trials.open(tmp_path / "upload", tmp_path / "layout")
    assert (tmp_path / "layout" / "oci-layout").is_symlink()
