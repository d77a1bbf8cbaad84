"""The process of one model: `python -m executors.serving.runtime.worker FD FOLDER SETTINGS`.

Loads the model, proves it by its golden requests, says so, then answers batches from the socket
until the server closes it. A model that takes the process down takes nothing else with it.

A fourth word is the digest of what runs code when it is loaded: a pickle that an administrator
allowed, or a class of one's own. The process confines itself before it loads that.
"""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from engine.model.errors import BerthError
from executors.packaging.security.sandbox import confinement
from executors.packaging.security.sandbox.confinement import Bounds
from executors.packaging.security.sandbox.inside import open_to_all
from executors.packaging.security.sandbox.running import ROOT
from executors.serving.runtime import loading, settings, wire
from executors.serving.runtime.runners import Runner

_GIB = 1 << 30
_BOUNDS = Bounds(memory_bytes=16 << 30, cpu_seconds=1 << 40, file_bytes=0, open_files=256)
"""Of a process of code, which serves as long as its server does."""
_LOADING_NICE = 4
"""How much loading gives way: to less than half of the share of one that answers."""
_CALLS = frozenset({"sendto", "setpriority"})
"""What a confined model calls all the same: to answer, and to load aside."""


def main(arguments: Sequence[str]) -> int:
    """Serve one model over a socket that was handed down."""
    descriptor, folder, given, *allowed = arguments
    # Signals to the whole group are the server's: it decides when its models end.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # the spawner's own is handed down
    chosen = settings.decode(given.encode(), settings.FILE)
    if chosen.memory_gib_max > 0:
        limit = int(chosen.memory_gib_max * _GIB)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    leave = allowed[0] if allowed else ""
    with socket.socket(fileno=int(descriptor)) as peer:
        try:
            if leave:
                _confine(Path(folder))
            runner = _loaded_aside(Path(folder), chosen, leave)
        except BerthError as error:
            peer.sendall(wire.encode(wire.Refused(error.message, is_damaged=True)))
            return 1
        except MemoryError:
            message = f"the model needs more than {chosen.memory_gib_max:g} GiB"
            peer.sendall(wire.encode(wire.Refused(message, is_damaged=True)))
            return 1
        gc.freeze()
        peer.sendall(
            wire.encode(
                wire.Ready(
                    platform=runner.platform,
                    stackable=runner.stackable,
                    inputs=wire.pack_specs(runner.inputs),
                    outputs=wire.pack_specs(runner.outputs),
                )
            )
        )
        _answer_all(peer, runner)
    return 0


def _confine(folder: Path) -> None:
    """Leave the network, and all files but the model's and our own; it cannot be undone.

    Raises:
        RefusedError: when this machine cuts no process off from the network.
    """
    confinement.confine(
        _BOUNDS, reads=[*open_to_all(), ROOT, folder], writes=[], calls=_CALLS
    ).require()


def _loaded_aside(folder: Path, chosen: settings.ModelSettings, leave: str) -> Runner:
    """Load a model in a thread that gives way to those who answer meanwhile.

    Of a thread, unlike of a process, the priority can be lowered for loading only: nobody but an
    administrator may raise it again.

    Raises:
        DamagedError: when it cannot be loaded, or answers wrongly.
    """
    usual = os.getpriority(os.PRIO_PROCESS, 0)

    def load() -> Runner:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), min(usual + _LOADING_NICE, 19))
        return loading.open_runner(folder, chosen, leave)

    with ThreadPoolExecutor(1) as aside:
        runner = aside.submit(load).result()
    # Threads that a library began meanwhile have its priority.
    with contextlib.suppress(OSError):
        for task in Path("/proc/self/task").iterdir():
            os.setpriority(os.PRIO_PROCESS, int(task.name), usual)
    return runner


def _answer_all(peer: socket.socket, runner: Runner) -> None:
    """Answer batches until the server closes the socket."""
    with peer.makefile("rb") as reader:
        while head := reader.read(wire.LENGTH.size):
            (length,) = wire.LENGTH.unpack(head)
            message = wire.decode(reader.read(length))
            peer.sendall(wire.encode(_answer(runner, message)))


def _answer(runner: Runner, message: wire.Message) -> wire.Message:
    """Run one batch."""
    if not isinstance(message, wire.Work):
        return wire.Refused(f"a worker cannot take {type(message).__name__}")
    try:
        outputs = runner.run(wire.unpack(message.tensors))
    except ValueError as error:
        return wire.Refused(str(error), is_values=True)
    except Exception as error:
        return wire.Refused(f"{type(error).__name__}: {error}")
    return wire.Work(wire.pack(outputs))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
