"""The server's side of the process that starts the processes of its models (`spawner`)."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence

from engine.model.errors import DamagedError
from executors.serving.runtime.spawner import MESSAGE_BYTES_MAX

_SPAWNER = "executors.serving.runtime.spawner"
_ANSWER_SECONDS_MAX = 60.0
_END_SECONDS = 5.0
_TRIES = 2


class Processes:
    """Starts processes of models without holding up the loop. For any thread.

    The spawner is started when it is first needed; a server that is about to serve calls `warm`.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._spawner: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None

    def warm(self) -> None:
        """Start the spawner now, while nobody waits for answers."""
        with self._lock:
            self._connected()

    async def start(self, arguments: Sequence[str], theirs: socket.socket) -> int:
        """Start a worker with one end of a socket; return its number.

        Raises:
            DamagedError: when no process can be started.
        """
        return await asyncio.to_thread(self.start_now, arguments, theirs)

    def close(self) -> None:
        """End the spawner; workers end when their sockets are closed."""
        with self._lock:
            self._drop()

    def start_now(self, arguments: Sequence[str], theirs: socket.socket) -> int:
        """As `start`, for a thread that may wait."""
        message = json.dumps(list(arguments)).encode()
        if len(message) > MESSAGE_BYTES_MAX:
            raise DamagedError("the settings of the model are too long", fix="shorten model.json")
        with self._lock:
            for _ in range(_TRIES):
                try:
                    spawner = self._connected()
                    socket.send_fds(spawner, [message], [theirs.fileno()])
                    answer = spawner.recv(MESSAGE_BYTES_MAX)
                except OSError:
                    answer = b""
                if answer:
                    return int(answer)
                self._drop()  # it was ended from outside; the next try starts another
        raise DamagedError("no process can be started for the model", fix="free some memory")

    def _connected(self) -> socket.socket:
        """Return the socket to the spawner, started if it is not there."""
        if self._socket is None:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            ours.settimeout(_ANSWER_SECONDS_MAX)
            with theirs:
                number = theirs.fileno()
                command = [sys.executable, "-m", _SPAWNER, str(number)]
                self._spawner = subprocess.Popen(command, pass_fds=[number])
            self._socket = ours
        return self._socket

    def _drop(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._spawner is not None:
            try:
                self._spawner.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                self._spawner.kill()
                self._spawner.wait()
            self._spawner = None
