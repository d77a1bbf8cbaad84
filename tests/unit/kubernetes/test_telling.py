"""A server in a pod says what it measured, whether the engine is there or not."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from executors.kubernetes.serving import telling
from executors.kubernetes.serving.telling import Telling
from executors.tasks.context import Origin

ORIGIN = Origin("serving", "model:heart", {"model": "heart"})


class Engine:
    """Takes windows, or answers with a status."""

    def __init__(self) -> None:
        self.status = 200
        self.windows: list[list[dict[str, object]]] = []
        self.asked = 0
        engine = self

        class Handler(BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                content = self.rfile.read(int(self.headers["Content-Length"]))
                status = engine.status  # once: a test may change it as soon as it was asked
                if status == 200:
                    engine.windows.append([json.loads(line) for line in content.splitlines()])
                engine.asked += 1
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base has it
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}/signals/x"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()


@pytest.fixture
def engine() -> Iterator[Engine]:
    made = Engine()
    yield made
    made.server.shutdown()
    made.server.server_close()
    made.thread.join()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telling, "_PAUSE_SECONDS", 0.02)
    monkeypatch.setattr(telling, "_TIMEOUT_SECONDS", 30.0)


def window(teller: Telling, at: float, value: float = 1.0) -> None:
    teller.begin(at)
    teller.signal(ORIGIN, "requests", value, shape="count")
    teller.end()


def wait(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 60.0
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_a_window_is_sent_as_it_ends(engine: Engine) -> None:
    teller = Telling("heart", engine.address)
    teller.start()
    window(teller, 7.0, 3.0)
    wait(lambda: engine.windows)
    ((signal,),) = engine.windows
    assert (signal["at"], signal["value"], signal["shape"]) == (7.0, 3.0, "count")
    teller.close()


def test_windows_wait_for_an_engine_that_is_away_and_keep_their_order(engine: Engine) -> None:
    engine.status = 503
    teller = Telling("heart", engine.address)
    teller.start()
    window(teller, 1.0)
    wait(lambda: engine.asked)
    window(teller, 2.0)
    engine.status = 200
    wait(lambda: len(engine.windows) == 2)
    assert [found[0]["at"] for found in engine.windows] == [1.0, 2.0]
    teller.close()


def test_what_the_engine_refuses_is_not_sent_again(engine: Engine) -> None:
    engine.status = 400
    teller = Telling("heart", engine.address)
    teller.start()
    window(teller, 1.0)
    wait(lambda: engine.asked)
    engine.status = 200
    window(teller, 2.0)
    teller.close()
    assert [found[0]["at"] for found in engine.windows] == [2.0]
    assert engine.asked == 2


def test_the_oldest_windows_are_given_up(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telling, "_WINDOWS_MAX", 3)
    teller = Telling("heart", engine.address)
    for number in range(5):
        window(teller, float(number))
    teller.start()
    wait(lambda: len(engine.windows) == 3)
    teller.close()
    assert [found[0]["at"] for found in engine.windows] == [2.0, 3.0, 4.0]


def test_an_end_is_not_held_up_by_an_engine_that_is_away() -> None:
    teller = Telling("heart", "http://127.0.0.1:1/signals/x")
    teller.start()
    window(teller, 1.0)
    teller.close()
    assert not teller._thread.is_alive()


def test_nothing_is_sent_of_an_empty_window_or_of_what_is_not_finite(engine: Engine) -> None:
    teller = Telling("heart", engine.address)
    teller.start()
    teller.begin(1.0)
    teller.signal(ORIGIN, "quality", float("nan"))
    teller.end()
    teller.close()
    assert engine.asked == 0
