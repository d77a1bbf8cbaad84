"""MLServer, Triton and KServe's server on the same iris classifier, as strong as each can be set.

MLServer without worker processes (with them it is slower on this model), Triton with dynamic
batching without delay, KServe as its documentation says. One process each, as ours.
"""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.serving import _peers, _servers
from executors.serving.runtime.tensors import Array

_TRITON_CONFIG = """
name: "iris"
backend: "python"
max_batch_size: 1024
input [{ name: "features" data_type: TYPE_FP64 dims: [4] }]
output [{ name: "label" data_type: TYPE_INT64 dims: [1] reshape: { shape: [] } }]
dynamic_batching { }
instance_group [{ kind: KIND_CPU count: 1 }]
parameters: { key: "FORCE_CPU_ONLY_INPUT_TENSORS" value: { string_value: "yes" } }
"""
_TRITON_MODEL = """
import pickle, os
import numpy as np
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def initialize(self, args):
        folder = os.path.dirname(os.path.abspath(__file__))
        with open(os.path.join(folder, "model.pickle"), "rb") as file:
            self.model = pickle.load(file)

    def execute(self, requests):
        parts = [pb_utils.get_input_tensor_by_name(r, "features").as_numpy() for r in requests]
        found = self.model.predict(np.concatenate(parts)).astype(np.int64)
        answers, start = [], 0
        for part in parts:
            own = found[start:start + len(part)]
            start += len(part)
            answers.append(pb_utils.InferenceResponse([pb_utils.Tensor("label", own)]))
        return answers
"""
_KSERVE_SERVER = """
import pickle, sys
import numpy as np
from kserve import InferOutput, InferResponse, Model, ModelServer

class Iris(Model):
    def __init__(self):
        super().__init__("iris")
        with open(sys.argv[1], "rb") as file:
            self.model = pickle.load(file)
        self.ready = True

    def predict(self, payload, headers=None, response_headers=None):
        found = self.model.predict(payload.inputs[0].as_numpy())
        output = InferOutput("label", list(found.shape), "INT64")
        output.set_data_from_numpy(found, binary_data=False)
        return InferResponse(payload.id or "1", "iris", [output])

if __name__ == "__main__":
    ports = dict(http_port=int(sys.argv[2]), grpc_port=int(sys.argv[3]))
    iris = Iris()
    sys.argv = sys.argv[:1]
    ModelServer(workers=1, access_log_format=None, **ports).start([iris])
"""
_TRAIN = """
import json, pickle, sys
import numpy as np
from sklearn.linear_model import LogisticRegression
found = json.load(open(sys.argv[1]))
model = LogisticRegression(max_iter=1000).fit(np.array(found["rows"]), np.array(found["labels"]))
pickle.dump(model, open(sys.argv[2], "wb"))
"""


@dataclass(frozen=True, slots=True)
class Competitor:
    """A server that runs, 0 for a protocol it does not serve."""

    name: str
    port: int
    grpc_port: int
    process_id: int


def free_port() -> int:
    """Returns a port that nobody uses now."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port


@contextlib.contextmanager
def mlserver(scratch: Path, rows: Array, labels: Array) -> Iterator[Competitor | None]:
    """Runs MLServer; None where it cannot be installed."""
    python = _peers.interpreter(_peers.MLSERVER)
    if python is None:
        yield None
        return
    folder = scratch / "mlserver"
    folder.mkdir()
    _train(python, folder / "model.pickle", rows, labels)
    ports = {"http_port": free_port(), "grpc_port": free_port(), "metrics_port": free_port()}
    settings = {"host": "127.0.0.1", "parallel_workers": 0, "debug": False, **ports}
    (folder / "settings.json").write_text(json.dumps(settings))
    model = {"name": "iris", "implementation": "mlserver_sklearn.SKLearnModel"}
    uri = str((folder / "model.pickle").resolve())
    (folder / "model-settings.json").write_text(json.dumps({**model, "parameters": {"uri": uri}}))
    command = [str(python.parent / "mlserver"), "start", "."]
    with _running(command, folder, ports["http_port"]) as own:
        yield Competitor("MLServer", ports["http_port"], ports["grpc_port"], own)


@contextlib.contextmanager
def triton(scratch: Path, rows: Array, labels: Array) -> Iterator[Competitor | None]:
    """Runs the Triton of nvidia-pytriton's wheel alone; None where it cannot be installed."""
    python = _peers.interpreter(_peers.TRITON)
    if python is None:
        yield None
        return
    packages = _peers.site_packages(python)
    source = packages / "pytriton" / "tritonserver"
    folder = scratch / "triton"
    shutil.copytree(source / "backends", folder / "backends")
    stub = "triton_python_backend_stub"
    shutil.copy(source / "python_backend_stubs" / "3.11" / stub, folder / "backends" / "python")
    version = folder / "repository" / "iris" / "1"
    version.mkdir(parents=True)
    (version.parent / "config.pbtxt").write_text(_TRITON_CONFIG)
    (version / "model.py").write_text(_TRITON_MODEL)
    _train(python, version / "model.pickle", rows, labels)
    http_port, grpc_port = free_port(), free_port()
    command = [
        str(source / "bin" / "tritonserver"),
        f"--model-repository={folder / 'repository'}",
        f"--backend-directory={folder / 'backends'}",
        f"--cache-directory={source / 'caches'}",
        "--model-control-mode=explicit",
        "--load-model=iris",
        "--http-address=127.0.0.1",
        "--grpc-address=127.0.0.1",
        f"--http-port={http_port}",
        f"--grpc-port={grpc_port}",
        "--allow-metrics=false",
        "--log-info=false",
        "--log-warning=false",
    ]
    environment = {
        "LD_LIBRARY_PATH": str(packages / "nvidia_pytriton.libs"),
        "PYTHONPATH": str(packages),
        "PATH": f"{python.parent}:{os.environ['PATH']}",
        "VIRTUAL_ENV": str(python.parent.parent),
    }
    with _running(command, folder, http_port, environment) as own:
        yield Competitor("Triton", http_port, grpc_port, own)


@contextlib.contextmanager
def kserve(scratch: Path, rows: Array, labels: Array) -> Iterator[Competitor | None]:
    """Runs KServe's own model server; None where it cannot be installed."""
    python = _peers.interpreter(_peers.KSERVE)
    if python is None:
        yield None
        return
    folder = scratch / "kserve"
    folder.mkdir()
    _train(python, folder / "model.pickle", rows, labels)
    (folder / "server.py").write_text(_KSERVE_SERVER)
    http_port, grpc_port = free_port(), free_port()
    command = [str(python), "server.py", "model.pickle", str(http_port), str(grpc_port)]
    with _running(command, folder, http_port) as own:
        yield Competitor("KServe", http_port, grpc_port, own)


def _train(python: Path, target: Path, rows: Array, labels: Array) -> None:
    """Trains the same classifier with the scikit-learn of a peer."""
    data = target.with_suffix(".json")
    data.write_text(json.dumps({"rows": rows.tolist(), "labels": labels.tolist()}))
    subprocess.run([str(python), "-c", _TRAIN, str(data), str(target)], check=True, timeout=240)


@contextlib.contextmanager
def _running(
    command: list[str], folder: Path, port: int, more: dict[str, str] | None = None
) -> Iterator[int]:
    """Runs a server until it is not needed, with what it says in a file; gives its process."""
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, stdout=log, stderr=log, env={**os.environ, **(more or {})}
        )
        with _servers.ended(process):
            _servers.wait(lambda: _is_ready(port), process)
            yield process.pid


def _is_ready(port: int) -> bool:
    try:
        url = f"http://127.0.0.1:{port}/v2/models/iris/ready"
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
