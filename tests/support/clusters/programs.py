"""Programs that run in the background: started with a log, and stopped by process id.

A process is remembered with its identity, so that an id that was used again is left alone.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import random
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from executors.local import processes

STOP_SECONDS = 10.0
GONE_SECONDS = 60.0
"""How long a process that was killed may take to go: it needs a processor for that as well."""
_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
_PORTS_FIRST = 20_000
_PORTS_LEAST = 1_000


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
        end = time.monotonic() + GONE_SECONDS
        while self.is_alive and time.monotonic() < end:
            time.sleep(0.01)
        if not self.is_alive and (child := _CHILDREN.pop(self.pid, None)) is not None:
            child.wait()

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
    _CHILDREN[process.pid] = process
    return Running(name, process.pid, processes.identity(process.pid) or "")


_CHILDREN: dict[int, subprocess.Popen[bytes]] = {}
"""What this process started and did not stop yet: an object that goes before that warns."""


def free_port() -> int:
    """Return a port of loopback that nobody listens on; it stays this process's until it ends.

    It is none that the kernel gives to whoever connects or asks for any port: a server that is
    killed could not come back on such a one, once a client that retries holds it.

    Raises:
        TimeoutError: when none is free.
    """
    first, last = _EPHEMERAL.read_text("utf-8").split()
    below = range(_PORTS_FIRST, int(first))
    ports = below if len(below) >= _PORTS_LEAST else range(int(last) + 1, 65_536)
    folder = Path(tempfile.gettempdir()) / "berth-ports"
    folder.mkdir(exist_ok=True)
    start: int = random.SystemRandom().randrange(len(ports))
    for port in itertools.chain(ports[start:], ports[:start]):
        if _keep(port, folder):
            return port
    raise TimeoutError(f"no port of {ports.start} to {ports.stop - 1} is free")


def _keep(port: int, folder: Path) -> bool:
    """Take a port for this process if no other has it and nobody listens there."""
    # A bare descriptor: it is held until the process ends, and an object would warn of that.
    lock = os.open(folder / str(port), os.O_RDWR | os.O_CREAT)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            probe.bind(("127.0.0.1", port))
        except OSError:
            os.close(lock)
            return False
    return True


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 300.0) -> None:
    """Return when something holds.

    Raises:
        TimeoutError: when it does not come true in time.
    """
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{what} did not come within {seconds:g} s")
        time.sleep(0.05)
