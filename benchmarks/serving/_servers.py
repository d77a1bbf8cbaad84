"""Our server as its users start it, and waiting for it."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

LIMIT_SECONDS = 240.0


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server answers."""

    host: str
    port: int
    grpc_port: int
    process_id: int


@contextlib.contextmanager
def ours(
    repository: Path,
    scratch: Path,
    more: Sequence[str] = (),
    variables: Mapping[str, str] | None = None,
) -> Iterator[Address]:
    """Runs our server on a repository, with variables besides those of this process."""
    endpoint = scratch / f"endpoint-{time.monotonic_ns()}.json"
    command = [sys.executable, "-m", "executors.serving", str(repository), "--port", "0"]
    command += ["--grpc-port", "0", "--endpoint", str(endpoint)]
    environment = {**os.environ, **(variables or {})}
    with ended(subprocess.Popen([*command, *more], env=environment)) as process:
        wait(endpoint.exists, process)
        document = json.loads(endpoint.read_text(encoding="utf-8"))
        url = urlsplit(document["url"])
        grpc_port = int(document["grpc"].rpartition(":")[2])
        yield Address(str(url.hostname), int(url.port or 0), grpc_port, process.pid)


def wait(ready: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    """Waits until something is true while a process runs."""
    limit = time.monotonic() + LIMIT_SECONDS
    while not ready():
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with {process.returncode}")
        if time.monotonic() > limit:
            raise TimeoutError(f"{process.args!r} did not come up")
        time.sleep(0.05)


@contextlib.contextmanager
def ended(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """Ends a process at the end."""
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
