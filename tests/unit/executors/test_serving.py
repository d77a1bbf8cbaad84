"""Reading requests, loading packages, counting windows, and the client's errors."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.model.dispatches import Deployment
from engine.model.errors import BerthError, DamagedError, NotFoundError, UnreachableError
from engine.model.identifiers import Digest, PipelineName, RunId, TaskName
from executors.packaging import images
from executors.packaging.images import Image
from executors.serving import HttpModelServer, models, serve
from executors.serving.models import Prediction, ServedModel
from executors.serving.packaged import PackagedRunner
from executors.serving.packages import Packages
from executors.serving.runtime.faults import RequestError
from executors.serving.runtime.runners import arrange
from executors.serving.v2 import documents, requests
from executors.serving.windows import Windows
from executors.tasks.context import BadInputError, Task, TaskError
from tests.support.heart_tasks import HeartTasks

TENSOR = {"name": "features", "shape": [1, 2], "datatype": "FP64", "data": [1.0, 2.0]}


def image_of(heart: HeartTasks, family: str = "tree") -> Image:
    return images.read_image(heart.outputs(f"package-{family}"))


@pytest.fixture
def model() -> ServedModel:
    """Two features, a and b; answers whether a is greater than b."""
    return ServedModel(
        name="m",
        digest=Digest("sha256:1"),
        names=frozenset({"sha256:1"}),
        features=tuple(
            models.Feature(name=name, unit="", input_unit="", factor=1.0) for name in "ab"
        ),
        classes=(0, 1),
        has_probabilities=False,
        family="test",
        factors=np.ones(2),
        predict=lambda rows: ((rows[:, 0] > rows[:, 1]).astype(np.int64), None),
    )


def rows_of(model: ServedModel, *tensors: object, **more: object) -> NDArray[Any]:
    request = documents.read_infer(json.dumps({"inputs": list(tensors), **more}).encode())
    runner = PackagedRunner(model)
    requests.check_outputs(request, runner.outputs)
    return arrange(runner, request.tensors)[0]


def test_data_may_be_nested(model: ServedModel) -> None:
    rows = rows_of(model, {**TENSOR, "shape": [2, 2], "data": [[1, 2], [3, None]]})
    assert np.array_equal(rows, [[1, 2], [3, np.nan]], equal_nan=True)


def test_columns_may_come_in_any_order(model: ServedModel) -> None:
    a = {**TENSOR, "name": "a", "shape": [2]}
    b = {**TENSOR, "name": "b", "shape": [2, 1], "data": [3, 4]}
    assert rows_of(model, b, a).tolist() == [[1, 3], [2, 4]]


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ([], "`inputs` is empty"),
        ([3], "got `int` - at `$.inputs[0]`"),
        ([{**TENSOR, "name": 3}], "at `$.inputs[0].name`"),
        ([{**TENSOR, "datatype": "BYTES"}], "expected BYTES"),
        ([{**TENSOR, "datatype": "BYTES", "data": ["a", "b"]}], "has datatype 'BYTES'"),
        ([{**TENSOR, "datatype": "FP128"}], "has datatype 'FP128'"),
        ([{**TENSOR, "shape": [1, -2]}], "has shape"),
        ([{**TENSOR, "shape": [1, 3]}], "has 2 values"),
        ([{**TENSOR, "data": "12"}], "has no `data`"),
        ([{**TENSOR, "data": ["1", "2"]}], "holds text"),
        ([{**TENSOR, "data": ["1", None]}], "holds text"),
        ([{**TENSOR, "data": [True, False]}], "holds True"),
        ([{**TENSOR, "datatype": "INT8", "data": [1, 300]}], "cannot hold"),
        ([{**TENSOR, "data": [[1], [2, 3]]}], "is not a regular list"),
        ([{**TENSOR, "data": [{}, None]}], "holds {}"),
        ([{**TENSOR, "shape": [2]}], "expected [rows, 2]"),
        ([{**TENSOR, "shape": [0, 2], "data": []}], "has 0 rows"),
        ([{**TENSOR, "name": "a", "shape": [2]}], "missing ['b']"),
        ([{**TENSOR, "name": "a", "shape": [2]}] * 2, "missing ['b']"),
        (
            [{**TENSOR, "name": "a", "shape": [2]}, {**TENSOR, "name": "b"}],
            "input 'b' has shape [1, 2]",
        ),
    ],
)
def test_bad_tensors_are_named(model: ServedModel, tensors: list[object], message: str) -> None:
    with pytest.raises(RequestError) as caught:
        rows_of(model, *tensors)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"id": 3}, r"at `\$.id`"),
        ({"outputs": {}}, r"at `\$.outputs`"),
        ({"outputs": [{"name": "x"}]}, "no output 'x'"),
        ({"outputs": ["label"]}, r"at `\$.outputs\[0\]`"),
        ({"parameters": {"timeout": "soon"}}, "parameter 'timeout'"),
    ],
)
def test_bad_requests_are_explained(
    model: ServedModel, more: dict[str, object], message: str
) -> None:
    with pytest.raises(RequestError, match=message):
        rows_of(model, TENSOR, **more)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[1]", b'{"inputs": [NaN]}', b'{"inputs": ' + b"[" * 100_000]
)
def test_a_body_that_is_no_request_is_refused(body: bytes) -> None:
    with pytest.raises(RequestError):
        documents.read_infer(body)


def test_a_package_answers_its_example(heart: HeartTasks) -> None:
    found = models.load(image_of(heart), frozenset({"other"}))
    assert "other" in found.names
    assert found.family == "tree"


def changed(image: Image, **files: bytes) -> Image:
    """Return an image with other files; a name's `_` stands for the dot."""
    replaced = {name.replace("_", "."): data for name, data in files.items()}
    return Image(digest=image.digest, labels={}, files={**image.files, **replaced})


def metadata_with(image: Image, **more: object) -> bytes:
    return images.canonical({**image.metadata, **more})


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"features": [{}]}, "metadata of package"),
        ({"file": "absent.onnx"}, "is missing from"),
        ({"file": "example.json"}, "is none of ONNX, skops"),
    ],
)
def test_damaged_metadata_is_refused(
    heart: HeartTasks, more: dict[str, object], message: str
) -> None:
    image = image_of(heart)
    with pytest.raises(DamagedError, match=message):
        models.load(changed(image, metadata_json=metadata_with(image, **more)), frozenset())


def test_a_model_file_that_is_none_is_refused(heart: HeartTasks) -> None:
    with pytest.raises(DamagedError, match="no ONNX model"):
        models.load(changed(image_of(heart), model_onnx=b"\x80\x04N."), frozenset())


def test_a_model_that_answers_wrongly_is_refused(heart: HeartTasks) -> None:
    image = image_of(heart)
    example = json.loads(image.files["example.json"])
    example["labels"] = [1 - label for label in example["labels"]]
    with pytest.raises(DamagedError, match="16 of its 16 examples wrongly"):
        models.load(changed(image, example_json=images.canonical(example)), frozenset())


def test_a_model_of_another_width_fails_on_its_example(heart: HeartTasks) -> None:
    image = image_of(heart)
    example = json.loads(image.files["example.json"])
    features = image.metadata["features"][:12]
    example["rows"] = [row[:12] for row in example["rows"]]
    other = changed(
        image,
        example_json=images.canonical(example),
        metadata_json=metadata_with(image, features=features),
    )
    with pytest.raises(DamagedError, match="fails on its own example"):
        models.load(other, frozenset())


def test_a_skops_package_is_served_too(heart: HeartTasks) -> None:
    image = image_of(heart)
    data = (heart.outputs("tree") / "model.skops").read_bytes()
    metadata = metadata_with(image, file="model.skops")
    found = models.load(changed(image, model_skops=data, metadata_json=metadata), frozenset())
    answer = found.infer(np.array(json.loads(image.files["example.json"])["rows"]))
    assert answer.probabilities is not None
    assert answer.probabilities.shape == (16, 2)


def test_a_file_that_is_no_skops_is_refused(heart: HeartTasks) -> None:
    image = image_of(heart)
    metadata = metadata_with(image, file="model.skops")
    with pytest.raises(DamagedError, match="no skops model"):
        models.load(changed(image, model_skops=b"x", metadata_json=metadata), frozenset())


def test_a_digest_that_nothing_has_is_not_found() -> None:
    with pytest.raises(NotFoundError):
        Packages("heart", {}).load("sha256:1")


def test_a_registry_that_fails_is_logged(
    heart: HeartTasks, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "heart").mkdir()
    (tmp_path / "heart" / "index.json").write_text("{")
    packages = Packages("heart", {"BERTH_MODELS": str(tmp_path)})
    packages.note_serving(models.load(image_of(heart), frozenset()))
    assert "does not know what serves" in caplog.text


@pytest.fixture
def windows(tmp_path: Path) -> Windows:
    environment = {"BERTH_SIGNALS": str(tmp_path / "signals.jsonl")}
    return Windows(
        Task(
            spec={"name": "serve"},
            pipeline="m",
            seed=0,
            settings={},
            upstream={},
            environment=environment,
        )
    )


def said(tmp_path: Path) -> dict[str, Any]:
    lines = (tmp_path / "signals.jsonl").read_text().splitlines()
    return {each["name"]: each["value"] for each in map(json.loads, lines)}


def prediction(labels: list[int], rows: list[list[float]]) -> Prediction:
    return Prediction(labels=np.array(labels), probabilities=None, rows=np.array(rows))


def test_an_empty_window_says_that_nothing_came(windows: Windows, tmp_path: Path) -> None:
    windows.flush(["a"])
    assert said(tmp_path) == {"requests": 0}


def test_a_window_says_what_came(windows: Windows, tmp_path: Path) -> None:
    windows.answered("1", prediction([1, 0], [[1.0], [3.0]]), 5.0)
    windows.answered("2", prediction([1], [[8.0]]), 7.0)
    assert windows.label("1", [1, 1])
    windows.flush(["a"])
    assert said(tmp_path) == {
        "requests": 2,
        "errors_share": 0.0,
        "latency_ms_p99": 7.0,
        "quality": 0.5,
        "feature_median": 3.0,
        "feature_mean": 4.0,
    }


def test_a_window_that_ends_early_counts_no_requests(windows: Windows, tmp_path: Path) -> None:
    windows.answered("1", prediction([1], [[1.0]]), 5.0)
    windows.flush(["a"], is_whole=False)
    told = said(tmp_path)
    assert "requests" not in told
    assert told["latency_ms_p99"] == 5.0


def test_labels_that_do_not_fit_are_unknown(windows: Windows) -> None:
    windows.answered("1", prediction([1, 0], [[1.0], [3.0]]), 5.0)
    assert not windows.label("1", [1])
    assert not windows.label("2", [1])


def test_a_window_across_a_swap_leaves_features_out(windows: Windows, tmp_path: Path) -> None:
    windows.answered("1", prediction([1], [[1.0]]), 5.0)
    windows.flush(["a", "b"])
    assert "feature_mean" not in said(tmp_path)


def test_a_feature_without_values_is_not_said(windows: Windows, tmp_path: Path) -> None:
    windows.answered("1", prediction([1], [[np.nan]]), 5.0)
    windows.flush(["a"])
    assert "feature_mean" not in said(tmp_path)


def test_serving_needs_a_package(tmp_path: Path) -> None:
    task = Task.from_environment(HeartTasks(tmp_path).prepare("serve"))
    with pytest.raises(BadInputError, match="no upstream task packaged"):
        serve.run(task)


def test_serving_a_damaged_package_is_bad_input(heart: HeartTasks, tmp_path: Path) -> None:
    found = HeartTasks(tmp_path)
    found.outputs("package").mkdir(parents=True)
    (found.outputs("package") / "outputs.json").write_text("{}")
    (found.outputs("package") / "oci-layout").write_text("{}")
    with pytest.raises(BadInputError, match="the package of 'package'"):
        serve.run(Task.from_environment(found.prepare("serve", "package")))


def test_a_port_of_somebody_else_is_refused() -> None:
    with serve.listen(0) as taken:
        taken.listen()
        with pytest.raises(TaskError, match="cannot be used"):
            serve.listen(taken.getsockname()[1])


class Answering(http.server.BaseHTTPRequestHandler):
    """Answers every POST with what the server was given."""

    def do_POST(self) -> None:
        status, body = self.server.answer  # type: ignore[attr-defined]  # set by the test
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def peer() -> Iterator[http.server.HTTPServer]:
    with http.server.HTTPServer(("127.0.0.1", 0), Answering) as found:
        thread = threading.Thread(target=found.serve_forever)
        thread.start()
        yield found
        found.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((422, b'{"error": "damaged"}'), DamagedError),
        ((404, b"[]"), DamagedError),
        ((500, b'{"error": "broken"}'), UnreachableError),
        ((200, b"hello"), UnreachableError),
    ],
)
def test_what_a_server_says_becomes_an_error(
    peer: http.server.HTTPServer, answer: tuple[int, bytes], error: type[BerthError]
) -> None:
    peer.answer = answer  # type: ignore[attr-defined]  # read by the handler
    with pytest.raises(error):
        HttpModelServer().swap(deployment(f"http://127.0.0.1:{peer.server_port}"))


def test_a_server_without_an_address_is_unreachable() -> None:
    with pytest.raises(UnreachableError, match="no address yet"):
        HttpModelServer().swap(deployment(""))


def deployment(endpoint: str) -> Deployment:
    return Deployment(
        pipeline=PipelineName("m"),
        task=TaskName("serve"),
        run_id=RunId("r-1"),
        wanted=Digest("sha256:1"),
        endpoint=endpoint,
    )
