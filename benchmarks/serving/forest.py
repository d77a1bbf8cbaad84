"""One row asked of a random forest of 100 trees, end to end over REST: median time and labels.

The forest is trained on a part of iris by scikit-learn and served as ONNX, converted as packages
are. One connection sends one row after another; beside it the same forest served as scikit-learn.
Labels of all held-out rows are compared with scikit-learn's own.
"""

import contextlib
import http.client
import json
import time
from collections.abc import Iterator, Sequence

import numpy as np

from benchmarks import frame
from benchmarks.serving import _models, _servers

REQUESTS = 1000
QUICK_REQUESTS = 200
WARM = 50
BAR_MS = 0.5


def run(context: frame.Context) -> Iterator[frame.Figure]:
    """Yields times and agreement."""
    forest = _models.forest()
    repository = context.scratch / "repository"
    _models.write_onnx(forest, repository / "onnx" / "1")
    _models.write_skops(forest, repository / "sklearn" / "1", outputs_given=["label"])
    _, asked, _, _ = _models.iris()
    with _servers.ours(repository, context.scratch) as server:
        count = QUICK_REQUESTS if context.quick else REQUESTS
        connection = http.client.HTTPConnection(server.host, server.port)
        with contextlib.closing(connection):
            times, labels = ask(connection, "onnx", asked, count)
            slow_times, _ = ask(connection, "sklearn", asked, count // 10)
    expected = forest.predict(asked).tolist()
    share = float(np.mean([found == label for found, label in zip(labels, expected, strict=True)]))
    p50 = float(np.median(times))
    anchor = f"the same server with scikit-learn: {np.median(slow_times):.2f} ms"
    yield frame.at_most("one row, median end to end", p50, BAR_MS, unit="ms", anchor=anchor)
    yield frame.informs("one row, fastest tenth", float(np.percentile(times, 10)), unit="ms")
    yield frame.informs("one row, p99", float(np.percentile(times, 99)), unit="ms")
    yield frame.at_least("labels equal to scikit-learn's on held-out rows", share, 1.0)
    speedup = float(np.median(slow_times)) / p50
    yield frame.informs("times faster than scikit-learn served", speedup)


def ask(
    connection: http.client.HTTPConnection, model: str, rows: Sequence[Sequence[float]], count: int
) -> tuple[list[float], list[int]]:
    """Asks one row after another; returns times in ms and the labels of each row once."""
    path = f"/v2/models/{model}/infer"
    bodies = [_models.body(row) for row in rows]
    times: list[float] = []
    labels: list[int] = []
    for number in range(WARM + max(count, len(bodies))):
        began = time.perf_counter()
        connection.request("POST", path, bodies[number % len(bodies)])
        response = connection.getresponse()
        data = response.read()
        took = (time.perf_counter() - began) * 1000
        if response.status != 200:
            raise RuntimeError(data.decode())
        if number < len(bodies):
            labels.append(json.loads(data)["outputs"][0]["data"][0])
        if number >= WARM:
            times.append(took)
    return times, labels
