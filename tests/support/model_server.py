"""A real model server process on a real package."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, cast

LIMIT_SECONDS = 300.0


class ServerProcess:
    """`python -m executors.tasks serve` from start to end."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = {**os.environ, **environment}
        self.endpoint = ""

    def __enter__(self) -> ServerProcess:
        command = [sys.executable, "-m", "executors.tasks", "serve"]
        self._process = subprocess.Popen(command, env=self._environment)
        path = Path(self._environment["BERTH_ENDPOINT"])
        end = time.monotonic() + LIMIT_SECONDS
        while not path.exists():
            assert self._process.poll() is None, "the server ended before it served"
            assert time.monotonic() < end, "the server did not come up"
            time.sleep(0.01)
        self.endpoint = json.loads(path.read_text())["url"]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.end()

    def end(self) -> int:
        """Ask it to end; return its exit code."""
        self._process.terminate()
        return self._process.wait(LIMIT_SECONDS)

    def get(self, path: str) -> tuple[int, Any]:
        """Return status and answer of a GET."""
        return self._send(urllib.request.Request(self.endpoint + path))

    def post(self, path: str, body: object) -> tuple[int, Any]:
        """Return status and answer of a POST; bytes are sent as they are."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self._send(urllib.request.Request(self.endpoint + path, data, method="POST"))

    def infer(self, rows: list[list[float | None]], **more: object) -> tuple[int, Any]:
        """Return status and answer to rows."""
        data = [value for row in rows for value in row]
        shape = [len(rows), len(rows[0])]
        tensor = {"name": "features", "shape": shape, "datatype": "FP64", "data": data}
        return self.post("/v2/models/heart/infer", {"inputs": [tensor], **more})

    def _send(self, request: urllib.request.Request) -> tuple[int, Any]:
        try:
            with urllib.request.urlopen(request, timeout=LIMIT_SECONDS) as response:
                return cast("int", response.status), json.loads(response.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())
