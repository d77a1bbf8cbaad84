"""Serves the model in `/models` over the Open Inference Protocol v2; stands alone in an image.

    python serve.py                 serve at PORT (8080), at HOST (all addresses)
    python serve.py check REPEATS LIMIT_MS
                                    answer the examples, print what came as JSON, and end
    python serve.py wait MODULE...  import modules, then read a line from stdin: a list in JSON with
                                    the folder, and what follows `serve.py` above; and do that

A listening socket that was handed down is named by its number in `BERTH_LISTEN`. After `wait`, what
is printed goes to stderr, but for the one line that is the answer.

Needs the standard library, numpy, and what the model's format needs. The model is loaded and has
to answer its own examples before the first request is taken. SIGTERM ends it.
"""

from __future__ import annotations

import importlib
import json
import math
import os
import pickle
import select
import signal
import socket
import socketserver
import sys
import threading
import time
import types
from collections.abc import Callable, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TextIO, cast

Values = Any  # numpy's arrays; it is imported late, for its version belongs to the model
Predict = Callable[[Values], Mapping[str, Values]]

BODY_BYTES_MAX = 16 << 20
ROWS_MAX = 10_000
_PORT = 8080
_DATATYPES = {
    "float64": "FP64",
    "float32": "FP32",
    "int64": "INT64",
    "int32": "INT32",
    "bool": "BOOL",
}
_NAMES = {"probabilities": "probability"}
_TOLERANCE = 1e-4
_MATRIX = 2
_ROUNDS_MAX = 3
_WAIT_SECONDS_MAX = 3_600.0


class RequestError(Exception):
    """A request that breaks the protocol, with the HTTP status of its answer."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class Model:
    """The model of a folder, loaded.

    Raises:
        ValueError: when the folder is not what it says.
    """

    def __init__(self, folder: Path) -> None:
        self.metadata: dict[str, Any] = json.loads((folder / "metadata.json").read_bytes())
        self.name = str(self.metadata["name"])
        self.version = str(self.metadata.get("version") or os.environ.get("BERTH_VERSION", "1"))
        self.features: list[dict[str, Any]] = list(self.metadata["features"])
        self._predict = _load(folder, self.metadata)
        self._numpy: Any = importlib.import_module("numpy")
        self.example = json.loads((folder / "example.json").read_bytes())

    def predict(self, rows: Values) -> Mapping[str, Values]:
        """Answer rows of shape (n, features), in the units of the model."""
        return self._predict(rows)

    def rows(self, values: Sequence[object]) -> Values:
        """Return rows as an array; a missing value is null."""
        array = self._numpy.array(values, dtype=self._numpy.float64)
        return array.reshape(-1, len(self.features))

    def check(self) -> str:
        """Answer the examples; return what is wrong, "" when nothing is."""
        found = self.predict(self.rows(self.example["rows"]))
        wanted = self.example.get("outputs") or {"label": self.example["labels"]}
        for name, values in wanted.items():
            if name not in found:
                return f"there is no output {name!r}, only {sorted(found)}"
            mine = self._numpy.asarray(found[name], dtype=self._numpy.float64)
            theirs = self._numpy.asarray(values, dtype=self._numpy.float64)
            if mine.shape != theirs.shape:
                return f"output {name!r} has the shape {mine.shape}, expected {theirs.shape}"
            near = self._numpy.isclose(mine, theirs, rtol=_TOLERANCE, atol=_TOLERANCE)
            if not near.all():
                return f"output {name!r} is wrong for {int((~near).sum())} of {near.size} values"
        return ""

    def infer(self, body: bytes) -> dict[str, Any]:
        """Answer an inference request.

        Raises:
            RequestError: naming the tensor at fault.
        """
        try:
            request = json.loads(body)
            inputs = request["inputs"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise RequestError(f"the body is no inference request: {error!r}") from error
        rows = self._rows_of(inputs)
        factors = self._numpy.array([float(f.get("factor", 1.0)) for f in self.features])
        found = self.predict(rows * factors)
        outputs = [self.tensor(_NAMES.get(name, name), found[name]) for name in found]
        answer = {"model_name": self.name, "model_version": self.version, "outputs": outputs}
        return {**answer, "id": str(request["id"])} if request.get("id") else answer

    def describe(self) -> dict[str, Any]:
        """Return the metadata of the model as the protocol has it."""
        tensor = {"name": "features", "datatype": "FP64", "shape": [-1, len(self.features)]}
        sample = self.predict(self.rows(self.example["rows"][:1]))
        outputs = [self.tensor(_NAMES.get(name, name), sample[name]) for name in sample]
        for output in outputs:
            del output["data"]
            output["shape"] = [-1, *output["shape"][1:]]
        described = {"name": self.name, "versions": [self.version], "platform": "berth"}
        return {**described, "inputs": [tensor], "outputs": outputs}

    def _rows_of(self, inputs: object) -> Values:
        """Return the rows of a request: one tensor of all features, or one tensor for each."""
        tensors = {
            tensor["name"]: self._array(tensor)
            for tensor in (inputs if isinstance(inputs, list) else [])
            if isinstance(tensor, dict) and "name" in tensor
        }
        names = [str(feature["name"]) for feature in self.features]
        if "features" in tensors:
            rows = tensors["features"]
        elif tensors and set(tensors) == set(names):
            columns = [tensors[name].reshape(-1) for name in names]
            if len({len(column) for column in columns}) != 1:
                raise RequestError("the tensors have different numbers of rows")
            rows = self._numpy.stack(columns, axis=1)
        else:
            raise RequestError(f"inputs {sorted(tensors)}: expected `features`, or each of {names}")
        if rows.ndim != _MATRIX or rows.shape[1] != len(names):
            raise RequestError(f"`features` has shape {rows.shape}, expected (n, {len(names)})")
        if not 0 < len(rows) <= ROWS_MAX:
            raise RequestError(f"{len(rows)} rows, expected 1 to {ROWS_MAX}")
        return rows

    def _array(self, tensor: Mapping[str, Any]) -> Values:
        name = tensor["name"]
        try:
            array = self._numpy.array(tensor["data"], dtype=self._numpy.float64).reshape(-1)
            return array.reshape([int(size) for size in tensor["shape"]])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise RequestError(f"tensor {name!r}: {error}") from error

    def tensor(self, name: str, values: Values) -> dict[str, Any]:
        """Return an output as the protocol has it."""
        array = self._numpy.asarray(values)
        datatype = _DATATYPES.get(str(array.dtype), "BYTES")
        data = array.reshape(-1).tolist()
        data = [None if isinstance(v, float) and v != v else v for v in data]  # noqa: PLR0124
        return {"name": name, "datatype": datatype, "shape": list(array.shape), "data": data}


def _load(folder: Path, metadata: Mapping[str, Any]) -> Predict:
    """Return what answers rows, by the model's format."""
    loaders = {
        "onnx": _onnx,
        "skops": _skops,
        "torch": _torch,
        "series": _series,
        "python": _own,
        "pickle": _pickle,
    }
    kind = str(metadata["format"])
    if kind not in loaders:
        raise ValueError(f"format {kind!r} is unknown; known: {', '.join(loaders)}")
    return loaders[kind](folder, metadata)


def _onnx(folder: Path, metadata: Mapping[str, Any]) -> Predict:
    runtime: Any = importlib.import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    providers = ["CPUExecutionProvider"]
    session = runtime.InferenceSession(str(folder / metadata["file"]), options, providers=providers)
    name = session.get_inputs()[0].name
    outputs = [output.name for output in session.get_outputs()]

    def predict(rows: Values) -> Mapping[str, Values]:
        found = session.run(outputs, {name: rows.astype("float32")})
        return dict(zip(outputs, found, strict=True))

    return predict


def _skops(folder: Path, metadata: Mapping[str, Any]) -> Predict:
    io: Any = importlib.import_module("skops.io")
    path = folder / metadata["file"]
    kinds = io.get_untrusted_types(file=path)
    foreign = [kind for kind in kinds if not kind.startswith(("numpy.", "sklearn."))]
    if foreign:
        raise ValueError(f"{path.name} holds types that are not trusted: {foreign}")
    return _estimator(io.load(path, trusted=kinds))


def _pickle(folder: Path, metadata: Mapping[str, Any]) -> Predict:
    """Load a pickle, which runs what stands in it: who packaged it had leave to."""
    return _estimator(pickle.loads((folder / metadata["file"]).read_bytes()))  # noqa: S301


def _estimator(model: Any) -> Predict:  # noqa: ANN401 - any estimator
    def predict(rows: Values) -> Mapping[str, Values]:
        found = {"label": model.predict(rows)}
        if hasattr(model, "predict_proba"):
            found["probabilities"] = model.predict_proba(rows)
        return found

    return predict


def _torch(folder: Path, metadata: Mapping[str, Any]) -> Predict:
    torch: Any = importlib.import_module("torch")
    torch.set_num_threads(1)
    os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = "1"  # else what is no tensor is run
    module = torch.export.load(folder / metadata["file"]).module()

    def predict(rows: Values) -> Mapping[str, Values]:
        with torch.inference_mode():
            found = module(torch.from_numpy(rows.astype("float32")))
        if isinstance(found, tuple):  # a classifier of ours
            return dict(zip(("label", "probabilities"), (e.numpy() for e in found), strict=True))
        return {"output": found.numpy()}

    return predict


def _series(folder: Path, metadata: Mapping[str, Any]) -> Predict:
    """Return a forecaster: each row is how many steps ahead, the answer what is expected there."""
    numpy: Any = importlib.import_module("numpy")
    arima: Any = importlib.import_module("statsmodels.tsa.arima.model")
    if str(metadata["file"]).endswith(".json"):
        return _interval(json.loads((folder / metadata["file"]).read_bytes()), numpy, arima)
    with numpy.load(folder / metadata["file"], allow_pickle=False) as stored:
        order = tuple(int(value) for value in stored["order"])
        seasonal = tuple(int(value) for value in stored["seasonal_order"])
        trend = str(stored["trend"]) or None
        model = arima.ARIMA(stored["endog"], order=order, seasonal_order=seasonal, trend=trend)
        fitted = model.smooth(stored["params"])

    def predict(rows: Values) -> Mapping[str, Values]:
        steps = rows[:, 0].astype(int)
        path = numpy.asarray(fitted.forecast(max(1, int(steps.max()))))
        return {"output": path[numpy.clip(steps, 1, len(path)) - 1]}

    return predict


def _interval(stored: Mapping[str, Any], numpy: Any, arima: Any) -> Predict:  # noqa: ANN401
    """Return a forecaster of the `arima` template: what is expected, and a 95 % interval."""
    model = arima.ARIMA(
        numpy.array(stored["series"]),
        order=tuple(stored["order"]),
        seasonal_order=tuple(stored["seasonal_order"]),
        trend=stored["trend"],
    )
    fitted = model.smooth(numpy.array(stored["parameters"]))

    def predict(rows: Values) -> Mapping[str, Values]:
        steps = rows[:, 0].astype(int)
        if not (steps >= 1).all() or steps.max() > ROWS_MAX:
            raise ValueError(f"`steps` must be 1 to {ROWS_MAX}")
        found = fitted.get_forecast(int(steps.max()))
        bounds = numpy.asarray(found.conf_int(alpha=0.05))
        columns = (numpy.asarray(found.predicted_mean), bounds[:, 0], bounds[:, 1])
        return {n: c[steps - 1] for n, c in zip(("mean", "lower", "upper"), columns, strict=True)}

    return predict


def _own(folder: Path, metadata: Mapping[str, Any]) -> Predict:
    """Return the model's own class, `MODULE:CLASS` with `load(folder)` and `predict(rows)`."""
    sys.path.insert(0, str(folder / "code"))
    module_name, _, class_name = str(metadata["class"]).partition(":")
    module: types.ModuleType = importlib.import_module(module_name)
    model = getattr(module, class_name)()
    model.load(folder / "weights")

    def predict(rows: Values) -> Mapping[str, Values]:
        found = model.predict(rows)
        return cast("Mapping[str, Values]", found) if isinstance(found, dict) else {"output": found}

    return predict


class Handler(BaseHTTPRequestHandler):
    """Answers one connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    model: Model

    def do_GET(self) -> None:
        """Answer what can be asked without a body."""
        mine = f"/v2/models/{self.model.name}"
        versioned = f"{mine}/versions/{self.model.version}"
        answers: dict[str, Callable[[], dict[str, Any]]] = {
            "/v2": lambda: {"name": "berth-image", "version": "1", "extensions": []},
            "/v2/health/live": lambda: {"live": True},
            "/v2/health/ready": lambda: {"ready": True},
            mine: self.model.describe,
            versioned: self.model.describe,
            f"{mine}/ready": lambda: {"name": self.model.name, "ready": True},
            f"{versioned}/ready": lambda: {"name": self.model.name, "ready": True},
        }
        found = answers.get(self.path)
        if found is None:
            self._answer(404, {"error": f"{self.path} is not served, only {mine}"})
        else:
            self._answer(200, found())

    def do_POST(self) -> None:
        """Answer an inference request."""
        mine = f"/v2/models/{self.model.name}"
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > BODY_BYTES_MAX:
            self.close_connection = True
            self._answer(413, {"error": f"the body has no length, or over {BODY_BYTES_MAX} bytes"})
            return
        body = self.rfile.read(int(length))
        if self.path not in {f"{mine}/infer", f"{mine}/versions/{self.model.version}/infer"}:
            self._answer(404, {"error": f"{self.path} is not served, only {mine}/infer"})
            return
        try:
            self._answer(200, self.model.infer(body))
        except RequestError as error:
            self._answer(error.status, {"error": str(error)})
        except Exception as error:
            self._answer(500, {"error": f"the model failed: {error}"})

    def _answer(self, status: int, document: Mapping[str, Any]) -> None:
        content = json.dumps(document, allow_nan=False).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - as the base has it
        """Say nothing of single requests."""


class _Handed(ThreadingHTTPServer):
    """A server over a socket that was handed down: a confined process can make none."""

    def __init__(self, number: int, handler: type[Handler]) -> None:
        given = socket.socket(fileno=number)
        socketserver.BaseServer.__init__(self, given.getsockname(), handler)
        self.socket = given


def serve(model: Model, answers: TextIO) -> None:
    """Serve until SIGTERM; `answers` is told when it does."""
    handler = type("ModelHandler", (Handler,), {"model": model})
    server = _listening(handler)
    server.daemon_threads = True
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
    answers.write(f"serving {model.name} at port {server.server_address[1]}\n")
    answers.flush()
    server.serve_forever()


def _listening(handler: type[Handler]) -> ThreadingHTTPServer:
    """Return a server at its own address, or over the socket that was handed down."""
    handed = os.environ.get("BERTH_LISTEN")
    if handed is None:
        address = (os.environ.get("HOST", "0.0.0.0"), int(os.environ.get("PORT", _PORT)))  # noqa: S104 - a container has its own
        return ThreadingHTTPServer(address, handler)
    return _Handed(int(handed), handler)


def measure(model: Model, repeats: int, limit_ms: float = math.inf) -> dict[str, Any]:
    """Return the answers to the examples, and how long single rows take in milliseconds.

    A round of rows over the limit is tried again: what else the machine does only adds to it.
    """
    rows = model.rows(model.example["rows"])
    outputs = dict(model.predict(rows))
    times: list[float] = []
    for _ in range(_ROUNDS_MAX):
        again = _times(model, rows, repeats)
        times = min(times, again, key=max) if times else again
        if max(times) <= limit_ms:
            break
    tensors = [model.tensor(name, values) for name, values in outputs.items()]
    return {"outputs": tensors, "latencies_ms": times, "error": model.check()}


def _times(model: Model, rows: Values, repeats: int) -> list[float]:
    times = []
    for number in range(repeats):
        row = rows[number % len(rows)][None, :]
        began = time.perf_counter()
        model.predict(row)
        times.append((time.perf_counter() - began) * 1000)
    return times


def wait(modules: Sequence[str]) -> list[str]:
    """Import modules, then return the words that come on stdin; none when none come."""
    for name in modules:
        importlib.import_module(name)
    came, _, _ = select.select([sys.stdin], [], [], _WAIT_SECONDS_MAX)
    line = sys.stdin.readline() if came else ""
    return [str(word) for word in json.loads(line)] if line else []


def main(arguments: Sequence[str]) -> int:
    """Load, check, and serve or print; return the exit code."""
    folder = Path(os.environ.get("BERTH_MODEL_FOLDER", "/models"))
    answers = sys.stdout
    try:
        if arguments[:1] == ["wait"]:
            # Who waits for the answer would take what a model prints for it.
            answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
            os.dup2(2, 1)
            told = wait(arguments[1:])
            if not told:
                return 0
            folder, arguments = Path(told[0]), told[1:]
        model = Model(folder)
        if arguments[:1] == ["check"]:
            found = measure(model, int(arguments[1]), float(arguments[2]))
            answers.write(json.dumps(found) + "\n")
            answers.flush()
            return 0
        wrong = model.check()
    except Exception as error:
        sys.stderr.write(f"the model in {str(folder)!r} cannot be served: {error!r}\n")
        return 1
    if wrong:
        sys.stderr.write(f"the model in {str(folder)!r} fails its own examples: {wrong}\n")
        return 1
    serve(model, answers)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
