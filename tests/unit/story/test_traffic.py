"""The callers of the served model, against a real HTTP server."""

import http.server
import json
import threading
from collections.abc import Iterator
from http import HTTPStatus

import pytest

from api.cli.story import traffic
from tests.support.faces import until

RECORD = {"chol": 230.0}


class Model(http.server.BaseHTTPRequestHandler):
    """Answers class 1 to everything; keeps what it was sent."""

    seen: list[tuple[str, object]]
    healthy = True

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        type(self).seen.append((self.path, body))
        self.send_response(HTTPStatus.OK if type(self).healthy else HTTPStatus.BAD_GATEWAY)
        self.end_headers()
        answer = {"outputs": [{"name": "label", "data": [1]}]}
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def model() -> Iterator[tuple[str, type[Model]]]:
    handler = type("OneModel", (Model,), {"seen": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", handler
    server.shutdown()
    server.server_close()


def callers(base: str, label: int = 1) -> traffic.Traffic:
    return traffic.Traffic([RECORD], [label], base, model="heart", requests_per_second=200)


def test_right_answers_are_counted_and_labels_follow(model: tuple[str, type[Model]]) -> None:
    base, handler = model
    playing = callers(base)
    playing.start()
    until(lambda: any(path.endswith("/labels") for path, _ in handler.seen))
    playing.stop()
    tally = playing.tally()
    assert tally.failed == 0
    assert tally.quality == 1.0
    assert tally.longest_seconds > 0


def test_a_record_is_sent_as_one_tensor_for_each_column(model: tuple[str, type[Model]]) -> None:
    base, handler = model
    playing = callers(base)
    playing.change = lambda record: {**record, "chol": 5.9}
    playing.start()
    until(lambda: handler.seen)
    playing.stop()
    path, body = handler.seen[0]
    assert path == "/v2/models/heart/infer"
    assert isinstance(body, dict)
    expected = {"name": "chol", "shape": [1, 1], "datatype": "FP32", "data": [5.9]}
    assert body["inputs"] == [expected]


@pytest.mark.parametrize("gone", [True, False])
def test_failures_are_counted_with_their_reason(model: tuple[str, type[Model]], gone: bool) -> None:
    base, handler = model
    handler.healthy = False
    playing = callers("http://127.0.0.1:9" if gone else base)
    playing.start()
    until(lambda: playing.tally().failed)
    playing.stop()
    tally = playing.reset()
    assert ("refused" if gone else "502") in tally.last_failure
    assert tally.last_failed
    assert tally.quality == 0.0
    assert playing.tally().sent == 0


def test_wrong_answers_lower_the_quality(model: tuple[str, type[Model]]) -> None:
    playing = callers(model[0], label=0)
    playing.start()
    until(lambda: playing.tally().sent)
    playing.stop()
    assert playing.tally().quality == 0.0
