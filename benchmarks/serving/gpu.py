"""A model of torch served on a GPU and on the processor: the same answers, and how much sooner.

Needs a GPU. An exported program, a perceptron of eight wide layers, is served by our server twice:
with the GPU in sight and without. One connection sends batches as binary tensors over REST.
"""

import contextlib
import http.client
import importlib
import json
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import frame
from benchmarks.serving import _servers

WIDTH, LAYERS, ROWS = 2_048, 8, 256
REQUESTS, QUICK_REQUESTS, WARM = 60, 15, 5
HEADER = "Inference-Header-Content-Length"
Rows = NDArray[np.float32]


def run(context: frame.Context) -> Iterator[frame.Figure]:
    """Yields agreement and times."""
    torch: Any = importlib.import_module("torch")
    if not torch.cuda.is_available():
        raise frame.BenchmarkError("this machine has no GPU that torch can see")
    print(f"{torch.cuda.get_device_name(0)}, torch {torch.__version__}")
    write(torch, context.scratch / "models" / "wide" / "1")
    count = QUICK_REQUESTS if context.quick else REQUESTS
    generator = np.random.default_rng(0)
    rows = generator.standard_normal((ROWS, WIDTH)).astype(np.float32)
    found = {}
    for name, variables in (("GPU", {}), ("processor", {"CUDA_VISIBLE_DEVICES": ""})):
        with _servers.ours(context.scratch / "models", context.scratch, variables=variables) as at:
            found[name] = ask(at, rows, count)
    apart = float(np.abs(found["GPU"][0] - found["processor"][0]).max())
    yield frame.at_most("answers, largest difference", apart, 1e-3)
    on_gpu, on_processor = (statistics.median(found[name][1]) for name in ("GPU", "processor"))
    yield frame.informs(f"{ROWS} rows on the GPU, median end to end", on_gpu, unit="ms")
    anchor = f"{on_processor:.1f} ms on the processor, one thread"
    name = f"{ROWS} rows, times sooner on the GPU"
    yield frame.at_least(name, on_processor / on_gpu, 5.0, anchor=anchor)


def write(torch: Any, folder: Path) -> None:  # noqa: ANN401 - a module
    """Writes the model, exported on the processor, with a free number of rows."""
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    layers = [
        each for _ in range(LAYERS) for each in (torch.nn.Linear(WIDTH, WIDTH), torch.nn.ReLU())
    ]
    model = torch.nn.Sequential(*layers, torch.nn.Linear(WIDTH, 16)).eval()
    free = ({0: torch.export.Dim("rows")},)
    exported = torch.export.export(model, (torch.zeros(4, WIDTH),), dynamic_shapes=free)
    torch.export.save(exported, folder / "model.pt2")
    told = {
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, WIDTH]}],
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 16]}],
    }
    (folder / "model.json").write_text(json.dumps(told), encoding="utf-8")


def ask(at: _servers.Address, rows: Rows, count: int) -> tuple[Rows, Sequence[float]]:
    """Returns the answer to the rows, and how long each request took in milliseconds."""
    tensor = {"name": "x", "datatype": "FP32", "shape": rows.shape}
    sized = {**tensor, "parameters": {"binary_data_size": rows.nbytes}}
    head = json.dumps({"inputs": [sized], "parameters": {"binary_data_output": True}}).encode()
    times = []
    with contextlib.closing(http.client.HTTPConnection(at.host, at.port)) as connection:
        for _ in range(WARM + count):
            began = time.perf_counter()
            headers = {HEADER: str(len(head))}
            connection.request("POST", "/v2/models/wide/infer", head + rows.tobytes(), headers)
            answer = connection.getresponse()
            data = answer.read()
            times.append(1e3 * (time.perf_counter() - began))
            if answer.status != http.client.OK:
                raise frame.BenchmarkError(f"{answer.status}: {data[:300]!r}")
    found = np.frombuffer(data[int(answer.headers[HEADER]) :], np.float32)
    return found.reshape(len(rows), -1), times[WARM:]
