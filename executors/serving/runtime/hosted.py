"""A model in a process of its own, seen from the server.

Reading a model of hundreds of megabytes holds the interpreter for long stretches even in a thread.
In another process it holds up nobody; what is swapped then is which process answers.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Sequence
from pathlib import Path

import msgspec

from engine.model.errors import DamagedError
from executors.serving.runtime import wire
from executors.serving.runtime.faults import RequestError, busy
from executors.serving.runtime.processes import Processes
from executors.serving.runtime.runners import TensorSpec
from executors.serving.runtime.settings import ModelSettings
from executors.serving.runtime.tensors import Array

LOAD_SECONDS_MAX = 600.0
_END_SECONDS = 5.0
_READ_BYTES = 1 << 16
_CLOSED = (OSError, asyncio.IncompleteReadError, EOFError)


class HostedModel:
    """A runner's face whose work is done elsewhere; `run` is for one caller at a time."""

    def __init__(
        self,
        process_id: int,
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        ready: wire.Ready,
    ) -> None:
        self.platform = ready.platform
        self.stackable = ready.stackable
        self.inputs: tuple[TensorSpec, ...] = wire.unpack_specs(ready.inputs)
        self.outputs: tuple[TensorSpec, ...] = wire.unpack_specs(ready.outputs)
        self.process_id = process_id
        self._reader, self._writer = streams

    @classmethod
    async def start(
        cls, folder: Path, settings: ModelSettings, processes: Processes, leave: str = ""
    ) -> HostedModel:
        """Start a process and wait until its model is loaded and proved.

        leave: digest of the package that may run code; the process is confined, then.

        Raises:
            DamagedError: when the model cannot be loaded, answers wrongly, or ends its process.
        """
        ours, theirs = socket.socketpair()
        given = msgspec.json.encode(settings).decode()
        try:
            with theirs:
                words = [str(folder), given, *([leave] if leave else [])]
                process_id = await processes.start(words, theirs)
        except BaseException:
            ours.close()
            raise
        streams = await asyncio.open_connection(sock=ours)
        try:
            async with asyncio.timeout(LOAD_SECONDS_MAX):
                message = await _receive(streams[0])
        except (TimeoutError, *_CLOSED) as error:
            await _end(process_id, streams)
            said = "it takes too long" if isinstance(error, TimeoutError) else "it ended"
            problem = f"the process of the model in {str(folder)!r} did not come up: {said}"
            raise DamagedError(problem, fix="try it alone, or give it more memory") from error
        except asyncio.CancelledError:
            await _end(process_id, streams)
            raise
        if isinstance(message, wire.Ready):
            return cls(process_id, streams, message)
        await _end(process_id, streams)
        said = message.message if isinstance(message, wire.Refused) else "no answer"
        raise DamagedError(said, fix="package the model again")

    @property
    def is_alive(self) -> bool:
        """Whether the process runs: its end of the socket closes with it."""
        return not self._reader.at_eof() and not self._writer.is_closing()

    async def run(self, inputs: Sequence[Array]) -> list[Array]:
        """Return the outputs.

        Raises:
            ValueError: when the model cannot answer these values.
            RequestError: when it fails otherwise, or its process has ended.
        """
        try:
            self._writer.write(wire.encode(wire.Work(wire.pack(inputs))))
            await self._writer.drain()
            message = await _receive(self._reader)
        except _CLOSED as error:
            raise busy("the process of the model has ended; it is started again", 503) from error
        if isinstance(message, wire.Work):
            return wire.unpack(message.tensors)
        said = message.message if isinstance(message, wire.Refused) else "no answer"
        if isinstance(message, wire.Refused) and message.is_values:
            raise ValueError(said)
        raise RequestError(f"the model failed: {said}", 500)

    async def end(self) -> None:
        """End the process."""
        await _end(self.process_id, (self._reader, self._writer))


async def _receive(reader: asyncio.StreamReader) -> wire.Message:
    """Read one frame."""
    (length,) = wire.LENGTH.unpack(await reader.readexactly(wire.LENGTH.size))
    return wire.decode(await reader.readexactly(length))


async def _end(process_id: int, streams: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
    """Close our half of the socket, at which a worker ends; kill one that does not."""
    reader, writer = streams
    with contextlib.suppress(*_CLOSED):
        if writer.can_write_eof() and not writer.is_closing():
            writer.write_eof()
    try:
        async with asyncio.timeout(_END_SECONDS):
            while await _discarded(reader):
                pass
    except TimeoutError:
        # Its end of the socket is open, so the number is still its own.
        with contextlib.suppress(ProcessLookupError):
            os.kill(process_id, signal.SIGKILL)
    writer.close()
    with contextlib.suppress(*_CLOSED):
        await writer.wait_closed()


async def _discarded(reader: asyncio.StreamReader) -> bool:
    """Read what nobody wants; false at the end."""
    try:
        return bool(await reader.read(_READ_BYTES))
    except _CLOSED:
        return False
