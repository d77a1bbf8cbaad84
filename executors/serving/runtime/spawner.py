"""Starts the processes of models: `python -m executors.serving.runtime.spawner FD`.

To start a process, the interpreter stands still until the other has begun its program, which on a
busy machine takes tens of milliseconds. A server that answers must not stand still, so it asks this
small process, which it starts before it serves (`processes`).

A request is one message: the arguments of the worker as JSON, with the worker's end of a socket
attached. The answer is the worker's number. The spawner ends with its server.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence

MESSAGE_BYTES_MAX = 1 << 16
_WORKER = "executors.serving.runtime.worker"
_WORDS = 2
"""Words to a worker, a folder and settings; one that may run code is told its digest."""
_HARMLESS = ("PATH", "LANG", "LC_ALL", "PYTHONPATH", "LD_LIBRARY_PATH", "TZ")


def main(arguments: Sequence[str]) -> int:
    """Start workers until the server closes the socket."""
    # Signals to the whole group are the server's: it decides when its models end.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel then keeps nothing of ended ones
    with socket.socket(fileno=int(arguments[0])) as server:
        while True:
            data, descriptors, _, _ = socket.recv_fds(server, MESSAGE_BYTES_MAX, 1)
            if not data or not descriptors:
                return 0
            with socket.socket(fileno=descriptors[0]) as theirs:
                theirs_number = theirs.fileno()
                words = json.loads(data)
                command = [sys.executable, "-m", _WORKER, str(theirs_number), *words]
                process = subprocess.Popen(
                    command, pass_fds=[theirs_number], env=_environment(words)
                )
            server.sendall(str(process.pid).encode())
            process.returncode = 0  # it is not waited for, and need not be


def _environment(words: Sequence[str]) -> dict[str, str] | None:
    """Return what a worker sees: all, but for one that runs code of a package.

    It has one thread for numbers: what it began before it was confined would not be.
    """
    if len(words) <= _WORDS:
        return None
    found = {name: os.environ[name] for name in _HARMLESS if name in os.environ}
    return {**found, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
