"""One row asked of a random forest of 100 trees, end to end over REST: median time and labels.

The forest is trained on a part of iris by scikit-learn and served as ONNX, converted as packages
are. One connection sends one row after another; beside it the same forest served as scikit-learn.
Labels of all held-out rows are compared with scikit-learn's own. The client is Python's
http.client; the time by a plain socket stands beside.
"""

import contextlib
import http.client
import json
import socket
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
        usual = http.client.HTTPConnection(server.host, server.port)
        with contextlib.closing(usual):
            times, labels = ask(Usual(usual), "onnx", asked, count)
            slow_times, _ = ask(Usual(usual), "sklearn", asked, count // 10)
        with socket.create_connection((server.host, server.port)) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            plain_times, _ = ask(Plain(connection), "onnx", asked, count)
    expected = forest.predict(asked).tolist()
    share = float(np.mean([found == label for found, label in zip(labels, expected, strict=True)]))
    p50 = float(np.median(times))
    anchor = f"the same server with scikit-learn: {np.median(slow_times):.2f} ms"
    yield frame.at_most("one row, median end to end", p50, BAR_MS, unit="ms", anchor=anchor)
    yield frame.informs("one row, fastest tenth", float(np.percentile(times, 10)), unit="ms")
    yield frame.informs("one row, p99", float(np.percentile(times, 99)), unit="ms")
    plain_p50 = float(np.median(plain_times))
    yield frame.informs("one row by a plain socket, median", plain_p50, unit="ms")
    yield frame.at_least("labels equal to scikit-learn's on held-out rows", share, 1.0)
    speedup = float(np.median(slow_times)) / p50
    yield frame.informs("times faster than scikit-learn served", speedup)


class Plain:
    """Asks by a socket."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def send(self, path: str, body: bytes) -> tuple[int, bytes]:
        """Returns status and body of an answer."""
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        self._connection.sendall(head.encode() + body)
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._received()
        answer_head, _, found = data.partition(b"\r\n\r\n")
        length = int(answer_head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        while len(found) < length:
            found += self._received()
        return int(answer_head.split(b" ", 2)[1]), found

    def _received(self) -> bytes:
        data = self._connection.recv(65536)
        if not data:
            raise RuntimeError("the server closed the connection")
        return data


class Usual:
    """Asks by Python's own client."""

    def __init__(self, connection: http.client.HTTPConnection) -> None:
        self._connection = connection

    def send(self, path: str, body: bytes) -> tuple[int, bytes]:
        """Returns status and body of an answer."""
        self._connection.request("POST", path, body)
        response = self._connection.getresponse()
        return response.status, response.read()


def ask(
    client: Plain | Usual, model: str, rows: Sequence[Sequence[float]], count: int
) -> tuple[list[float], list[int]]:
    """Asks one row after another; returns times in ms and the labels of each row once."""
    path = f"/v2/models/{model}/infer"
    bodies = [_models.body(row) for row in rows]
    times: list[float] = []
    labels: list[int] = []
    for number in range(WARM + max(count, len(bodies))):
        began = time.perf_counter()
        status, data = client.send(path, bodies[number % len(bodies)])
        took = (time.perf_counter() - began) * 1000
        if status != 200:
            raise RuntimeError(data.decode())
        if number < len(bodies):
            labels.append(json.loads(data)["outputs"][0]["data"][0])
        if number >= WARM:
            times.append(took)
    return times, labels
