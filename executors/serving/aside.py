"""A package's model in a process of its own, asked as if it were here: a large one, or code.

Loading a model of hundreds of megabytes holds the interpreter, in whichever thread; a pipeline's
server that swaps to one would stop answering meanwhile. So its file is loaded and proved by a
worker (`runtime.worker`), while the old model serves; what is put in place then is who is asked.
A call waits for the worker as it would for the model itself.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import tempfile
import threading
import weakref
from collections.abc import Mapping
from pathlib import Path

import msgspec
import numpy as np

from engine.model.errors import BerthError, DamagedError
from executors.serving.runtime import wire
from executors.serving.runtime.faults import busy
from executors.serving.runtime.processes import Processes
from executors.serving.runtime.settings import ModelSettings
from executors.serving.runtime.tensors import Array

_LOAD_SECONDS_MAX = 600.0
_CALL_SECONDS_MAX = 60.0
_RESTARTS_MAX = 3


class ModelAside:
    """A model file in another process. For any thread, one call at a time.

    The process ends with this object. One that dies is started again, a few times at most;
    meanwhile calls are turned away.
    """

    def __init__(
        self, files: Mapping[str, bytes], processes: Processes, *, leave: str = ""
    ) -> None:
        """Start a process and wait until it has loaded the model.

        files: a version as `runtime.loading` knows it, as `model.onnx`. leave: digest of what may
        run code when it is loaded; the process is confined, then.

        Raises:
            DamagedError: when it cannot be loaded.
        """
        folder = Path(tempfile.mkdtemp(prefix="berth-model-"))
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        for name, data in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        self._folder = folder
        self._processes = processes
        self._allowed = [leave] if leave else []
        self._lock = threading.Lock()
        self._restarts = 0
        self._restarting: threading.Thread | None = None
        self._socket: socket.socket | None = None
        self.outputs: tuple[str, ...] = ()
        self.datatype = ""
        self.process_id = 0
        self._start()

    def run(self, rows: Array) -> list[Array]:
        """Return the model's outputs, in the order of `outputs`; rows are cast to its type.

        Raises:
            ValueError: when the model cannot answer these values.
            RequestError: when its process has ended; another is being started.
        """
        given = rows.astype(np.float32 if self.datatype == "FP32" else np.float64, copy=False)
        with self._lock:
            found = self._asked(wire.Work(wire.pack([given])))
        if isinstance(found, wire.Work):
            return wire.unpack(found.tensors)
        raise ValueError(found.message if isinstance(found, wire.Refused) else "no answer")

    def _asked(self, message: wire.Message) -> wire.Message:
        if self._socket is None:
            raise busy("the process of the model is starting", 503)
        try:
            self._socket.sendall(wire.encode(message))
            return _received(self._socket)
        except OSError as error:
            self._socket.close()
            self._socket = None
            self._start_again()
            raise busy("the process of the model has ended; it is started again", 503) from error

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        weakref.finalize(self, ours.close)
        ours.settimeout(_LOAD_SECONDS_MAX)
        settings = msgspec.json.encode(ModelSettings()).decode()
        words = [str(self._folder), settings, *self._allowed]
        try:
            with theirs:
                self.process_id = self._processes.start_now(words, theirs)
            message = _received(ours)
        except OSError as error:
            ours.close()
            raise DamagedError("the process of the model did not come up") from error
        if not isinstance(message, wire.Ready):
            ours.close()
            said = message.message if isinstance(message, wire.Refused) else "no answer"
            raise DamagedError(said, fix="package the model again")
        ours.settimeout(_CALL_SECONDS_MAX)
        self.outputs = tuple(spec.name for spec in message.outputs)
        self.datatype = message.inputs[0].datatype
        self._socket = ours

    def _start_again(self) -> None:
        """Start another process from a thread, unless that was done too often."""
        if self._restarts >= _RESTARTS_MAX:
            return
        self._restarts += 1

        def start() -> None:
            # When it cannot be started either, calls go on to be turned away.
            with contextlib.suppress(BerthError):
                self._start()

        self._restarting = threading.Thread(target=start, name="model aside", daemon=True)
        self._restarting.start()


def _received(peer: socket.socket) -> wire.Message:
    """Read one frame.

    Raises:
        OSError: when the other side has ended.
    """
    (length,) = wire.LENGTH.unpack(_exactly(peer, wire.LENGTH.size))
    return wire.decode(_exactly(peer, length))


def _exactly(peer: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        part = peer.recv(min(size - len(data), 1 << 20))
        if not part:
            raise ConnectionResetError("the process of the model has ended")
        data += part
    return bytes(data)


def labels_of(
    model: ModelAside, rows: Array, *, with_probabilities: bool
) -> tuple[Array, Array | None]:
    """Return labels and probabilities of rows, as the predictors of `models` do."""
    found = model.run(rows)
    labels = np.asarray(found[0], dtype=np.int64).reshape(len(rows))
    has_some = with_probabilities and len(found) > 1
    return labels, np.asarray(found[1], dtype=np.float32) if has_some else None
