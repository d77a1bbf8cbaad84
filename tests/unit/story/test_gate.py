"""The gateway of the story, as a real process."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

from api.cli.story.director import free_port
from api.cli.story.gate import Gate
from tests.support.faces import until

NOBODY = "http://127.0.0.1:9"


def test_it_answers_while_no_engine_does_and_ends_with_the_story(tmp_path: Path) -> None:
    gate = Gate(NOBODY, free_port(), tmp_path / "gateway.log")
    assert gate.answers() is None
    gate.start()
    try:
        assert until(gate.answers)
    finally:
        gate.stop()
    assert gate.answers() is None
    assert gate.url in (tmp_path / "gateway.log").read_text()


def test_one_that_does_not_end_is_killed(tmp_path: Path) -> None:
    stubborn = (
        "import signal, socket; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "server = socket.create_server(('127.0.0.1', 0))\n"
        "print(server.getsockname()[1], flush=True)\n"
        "server.accept(); signal.pause()\n"
    )
    log = tmp_path / "gateway.log"
    gate = Gate(NOBODY, 0, log, (sys.executable, "-c", stubborn))
    gate.start()
    port = until(lambda: log.read_text().strip())
    with socket.create_connection(("127.0.0.1", int(port))) as connection:
        gate.stop()
        assert connection.recv(1) == b""


def test_one_that_never_started_needs_no_end(tmp_path: Path) -> None:
    Gate(NOBODY, 0, tmp_path / "gateway.log").stop()
