"""Keeps one engine process alive, as an init system would.

The engine is started again whenever it is killed; each start may be armed with the next of a list
of crash points, which is how `python -m benchmarks crash.demo` kills it at every named point.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from engine.model.errors import RefusedError

MOST_RESTARTS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineCommand:
    """How the engine is started: a program with arguments, its data folder, its environment."""

    home: Path
    arguments: Sequence[str]
    program: Sequence[str] = (sys.executable, "-m", "berth", "start")
    environment: Mapping[str, str] = field(default_factory=dict)


class Supervisor:
    """Starts the engine, restarts it when it was killed, stops it at the end.

    `crash_points` are all armed: the engine dies at the first of them that it passes, is started
    again with the others armed, and so on.
    """

    def __init__(self, command: EngineCommand, crash_points: Sequence[str] = ()) -> None:
        self._command = command
        self._points = list(crash_points)
        self._stopping = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._keep_alive, name="supervisor", daemon=True)
        self.deaths: list[str] = []
        """The crash points at which the engine died, in order."""
        self.failure: str = ""
        """Why the engine could not be kept alive; "" while it could."""

    def start(self) -> None:
        """Start the engine and keep it alive from now on."""
        self._thread.start()

    def stop(self, *, grace_seconds: float = 10.0) -> None:
        """Stop the engine: politely first, by force after the grace period."""
        self._stopping.set()
        process = self._process
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(grace_seconds)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._thread.join(grace_seconds)

    def _keep_alive(self) -> None:
        for _ in range(MOST_RESTARTS):
            code = self._run_once()
            if self._stopping.is_set():
                return
            if code != -signal.SIGKILL:
                self.failure = f"the engine ended with exit code {code}; see {self._log()}"
                return
            self._note_death()
        self.failure = f"the engine was killed {MOST_RESTARTS} times"

    def _run_once(self) -> int:
        environment = {**os.environ, **self._command.environment}
        if self._points:
            environment["BERTH_CRASH_AT"] = " ".join(self._points)
            environment.setdefault("BERTH_CRASH_RECORD", str(self._record()))
        with self._log().open("ab") as log:
            self._process = subprocess.Popen(
                [*self._command.program, *self._command.arguments],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C is for the story, which needs the engine to end its tasks.
                process_group=0,
            )
            return self._process.wait()

    def _note_death(self) -> None:
        """Take the point at which the engine died, the last that it passed, off the list."""
        if not self._record().exists():
            return
        last = self._record().read_text(encoding="utf-8").splitlines()[-1].partition("#")[0]
        if last in self._points:
            self._points.remove(last)
            self.deaths.append(last)

    def _record(self) -> Path:
        return self._command.home / "passed.txt"

    def _log(self) -> Path:
        return self._command.home / "engine.log"

    def check(self) -> None:
        """Raise when the engine is gone for good.

        Raises:
            RefusedError: with the reason and where its log is.
        """
        if self.failure:
            raise RefusedError(self.failure, fix="read the end of the log")
