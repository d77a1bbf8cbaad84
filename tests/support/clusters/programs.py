"""Programs that run in the background: started with a log, and stopped by process id.

A process is remembered with its identity, so that an id that was used again is left alone.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from executors.local import processes

STOP_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Running:
    """A program that was started; it can be stopped by another process than its parent."""

    name: str
    pid: int
    identity: str

    @property
    def is_alive(self) -> bool:
        """Whether it still runs."""
        return processes.is_alive(self.pid, self.identity)

    def send(self, number: signal.Signals) -> bool:
        """Signal it if it still is the one meant."""
        return processes.send(self.pid, self.identity, number)

    def stop(self) -> None:
        """Ask it to end, and kill it if it does not within a while."""
        self.send(signal.SIGTERM)
        end = time.monotonic() + STOP_SECONDS
        while self.is_alive and time.monotonic() < end:
            time.sleep(0.02)
        self.kill()

    def kill(self) -> None:
        """End it at once, and wait until it is gone."""
        self.send(signal.SIGKILL)
        end = time.monotonic() + STOP_SECONDS
        while self.is_alive and time.monotonic() < end:
            time.sleep(0.01)

    def plain(self) -> dict[str, object]:
        """Return it for a file of state."""
        return asdict(self)


def start(
    name: str, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
) -> Running:
    """Start a program in a session of its own, its output appended to a log."""
    with log.open("ab") as file:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            env=None if environment is None else dict(environment),
            start_new_session=True,
        )
    _CHILDREN.append(process)  # an object that goes while its process runs warns
    return Running(name, process.pid, processes.identity(process.pid) or "")


_CHILDREN: list[subprocess.Popen[bytes]] = []


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
    """Return when something holds.

    Raises:
        TimeoutError: when it does not come true in time.
    """
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{what} did not come within {seconds:g} s")
        time.sleep(0.05)
