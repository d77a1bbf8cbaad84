"""The supervisor keeps an engine alive; here a small program plays the engine."""

import sys
from pathlib import Path

import pytest

from api.cli.story import supervisor
from engine.model import errors
from tests.support.faces import until

KILL_ITSELF = """
import os, pathlib, signal, time
points = os.environ.get("BERTH_CRASH_AT", "").split()
print("started", points, flush=True)
if points:
    with pathlib.Path(os.environ["BERTH_CRASH_RECORD"]).open("a") as file:
        file.write(f"elsewhere#1\\n{points[-1]}#1\\n")
    os.kill(os.getpid(), signal.SIGKILL)
time.sleep(600)
"""


def start(tmp_path: Path, program: str, points: list[str]) -> supervisor.Supervisor:
    command = supervisor.EngineCommand(
        home=tmp_path, arguments=[], program=[sys.executable, "-c", program]
    )
    kept = supervisor.Supervisor(command, points)
    kept.start()
    return kept


def wait_for(tmp_path: Path, text: str) -> None:
    log = tmp_path / "engine.log"
    until(lambda: log.exists() and text in log.read_text())


def test_a_killed_engine_is_started_again_with_the_points_left(tmp_path: Path) -> None:
    kept = start(tmp_path, KILL_ITSELF, ["one", "two"])
    wait_for(tmp_path, "started []")
    assert kept.deaths == ["two", "one"]
    kept.check()
    kept.stop()


def test_an_engine_that_ends_by_itself_is_a_failure(tmp_path: Path) -> None:
    kept = start(tmp_path, "import sys; print('bye', flush=True); sys.exit(5)", [])
    until(lambda: kept.failure)
    with pytest.raises(errors.RefusedError, match="exit code 5"):
        kept.check()


def test_an_engine_that_does_not_listen_is_killed(tmp_path: Path) -> None:
    deaf = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "print('deaf', flush=True); time.sleep(600)"
    )
    kept = start(tmp_path, deaf, [])
    wait_for(tmp_path, "deaf")
    kept.stop(grace_seconds=0.2)
    assert not kept.failure
