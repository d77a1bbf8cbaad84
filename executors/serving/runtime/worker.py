"""The process of one model: `python -m executors.serving.runtime.worker FD FOLDER SETTINGS`.

Loads the model, proves it by its golden requests, says so, then answers batches from the socket
until the server closes it. A model that takes the process down takes nothing else with it.
"""

from __future__ import annotations

import gc
import resource
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from engine.model.errors import BerthError
from executors.serving.runtime import loading, settings, wire
from executors.serving.runtime.runners import Runner

_GIB = 1 << 30


def main(arguments: Sequence[str]) -> int:
    """Serve one model over a socket that was handed down."""
    descriptor, folder, given = arguments
    # A terminal sends its signals to the whole group; the server decides when its models end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    chosen = settings.decode(given.encode(), settings.FILE)
    if chosen.memory_gib_max > 0:
        limit = int(chosen.memory_gib_max * _GIB)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    with socket.socket(fileno=int(descriptor)) as peer:
        try:
            runner = loading.open_runner(Path(folder), chosen)
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
