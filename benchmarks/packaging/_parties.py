"""The processes of `push_to_answer`: the engine, a model server, and the load on it."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import frame
from executors.packaging import images

LIMIT_SECONDS = 90.0


@dataclass(frozen=True, slots=True)
class Answer:
    """One request: when it began and ended, its status, the version that answered."""

    began: float
    ended: float
    status: str
    version: str


class Server:
    """`python -m executors.tasks serve` on the first package of a model."""

    def __init__(self, home: Path, name: str, first: dict[str, bytes]) -> None:
        folder = home / "server"
        inputs = folder / "inputs" / "package"
        inputs.parent.mkdir(parents=True)
        images.write_image(inputs, first, labels={})
        parameters = folder / "parameters.json"
        task = {"name": "serve", "kind": "serve"}
        parameters.write_text(json.dumps({"task": task, "pipeline": name, "seed": 0}))
        self._endpoint = folder / "endpoint.json"
        paths = {
            "BERTH_PARAMETERS": parameters,
            "BERTH_INPUTS": folder / "inputs",
            "BERTH_OUTPUTS": folder / "outputs",
            "BERTH_SIGNALS": folder / "signals.jsonl",
            "BERTH_ENDPOINT": self._endpoint,
            "BERTH_MODELS": home / "models",
            "BERTH_ATTEMPT": folder,
        }
        (folder / "outputs").mkdir()
        self._variables = {**os.environ, **{name: str(path) for name, path in paths.items()}}

    def __enter__(self) -> str:
        """Starts it; returns its address."""
        command = [sys.executable, "-m", "executors.tasks", "serve"]
        self._process = subprocess.Popen(command, env=self._variables, cwd=frame.ROOT.parent)
        _wait(self._process, self._endpoint.exists, "the model server")
        return str(json.loads(self._endpoint.read_text())["url"])

    def __exit__(self, *_: object) -> None:
        """Ends it."""
        self._process.terminate()
        self._process.wait(LIMIT_SECONDS)


class Engine:
    """`berth start` on a data folder."""

    def __init__(
        self, home: Path, variables: dict[str, str], *, limit_seconds: float = LIMIT_SECONDS
    ) -> None:
        self._home = home
        self._limit_seconds = limit_seconds
        self._variables = {**variables, "BERTH_HOME": str(home)}

    def berth(self, *arguments: str, cwd: Path) -> str:
        """Runs a command of Berth; returns what it printed."""
        path = str(frame.ROOT.parent)
        done = subprocess.run(
            [sys.executable, "-m", "berth", *arguments],
            env={**self._variables, "PYTHONPATH": path},
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=self._limit_seconds,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"berth {' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done.stdout

    def __enter__(self) -> "Engine":
        """Starts it."""
        command = [sys.executable, "-m", "berth", "start", "--port", "0"]
        log = (self._home / "engine.log").open("wb")
        variables = {**self._variables, "PYTHONPATH": str(frame.ROOT.parent)}
        self._process = subprocess.Popen(
            command, env=variables, cwd=self._home, stdout=log, stderr=log
        )
        ready = (self._home / "engine.json").exists
        _wait(self._process, ready, "the engine", limit_seconds=self._limit_seconds)
        return self

    def __exit__(self, *_: object) -> None:
        """Ends it."""
        self._process.terminate()
        self._process.wait(LIMIT_SECONDS)


class Load:
    """A second process that keeps some connections busy; its answers are there when it ended."""

    def __init__(
        self,
        endpoint: str,
        folder: Path,
        rows: Sequence[Sequence[float]],
        *,
        model: str = "iris",
        connections: int = 4,
    ) -> None:
        host, _, port = endpoint.removeprefix("http://").partition(":")
        self._log = folder / "answers.json"
        options = {"host": host, "port": int(port), "connections": connections, "model": model}
        self._options = {**options, "rows": rows, "log": str(self._log)}
        self.answers: list[Answer] = []

    def __enter__(self) -> "Load":
        """Starts it."""
        command = [sys.executable, "-m", "benchmarks.packaging._load", json.dumps(self._options)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, cwd=frame.ROOT.parent)
        return self

    def __exit__(self, *_: object) -> None:
        """Ends it and reads what was answered."""
        self._process.communicate(b"", timeout=LIMIT_SECONDS)
        self.answers = [Answer(*entry) for entry in json.loads(self._log.read_text("utf-8"))]


def _wait(
    process: "subprocess.Popen[bytes]",
    ready: object,
    what: str,
    *,
    limit_seconds: float = LIMIT_SECONDS,
) -> None:
    """Waits until something is ready, or the process has ended; one that is late is ended."""
    assert callable(ready)
    end = time.monotonic() + limit_seconds
    while not ready():
        if process.poll() is not None or time.monotonic() > end:
            process.kill()
            raise RuntimeError(f"{what} did not come up")
        time.sleep(0.02)
