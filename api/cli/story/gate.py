"""The address that the callers of the model keep: `berth gateway`, beside the engine."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import httpx

WAIT_SECONDS = 120.0
"""How long a request waits while its model is moved."""
_REFRESH_SECONDS = 0.25
_GRACE_SECONDS = 5.0


class Gate:
    """One gateway in a process of its own, as its users start it.

    engine: address of the engine; log: file of its output; program: how `berth` is run.
    """

    def __init__(
        self,
        engine: str,
        port: int,
        log: Path,
        program: Sequence[str] = (sys.executable, "-m", "berth"),
    ) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._command = [
            *(*program, "gateway", "--url", engine, "--port", str(port)),
            *("--refresh-seconds", str(_REFRESH_SECONDS), "--wait-seconds", str(WAIT_SECONDS)),
        ]
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; Ctrl-C is for the story, which ends it."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,
            )

    def answers(self) -> bool | None:
        """Return whether it answers; None when it does not yet."""
        try:
            response = httpx.get(f"{self.url}/v2/health/live", trust_env=False)
        except httpx.HTTPError:
            return None
        return True if response.is_success else None

    def stop(self) -> None:
        """End it; whoever still waits for an answer gets none."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
