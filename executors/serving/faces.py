"""The faces of a process that serves: REST by uvicorn, gRPC beside it, and how both end.

Every server of models, every gateway and every runner is run by these.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import signal
import socket
import sys
from collections.abc import AsyncGenerator, Callable, Generator

import uvicorn
from starlette.types import ASGIApp

from engine.model.errors import InfeasibleError
from executors.serving.v2.application import Application
from executors.serving.v2.http_protocol import InferenceProtocol

HOST = "127.0.0.1"
SHUTDOWN_SECONDS = 5
_SWITCH_SECONDS = 0.0005
"""How long the loop may hold the interpreter while a swap's thread waits for it. With Python's own
5 ms a swap under load takes several times as long: its thread waits anew after every read."""
_ACCEPTED_A_ROUND = 16
"""The loop accepts one connection of a listening socket a round, and answers all that are open
before the next: sixty-four clients that come at once would wait for sixty-four rounds."""
_BACKLOG = 1024
_OLDEST_GENERATION = (10_000, 50, 1_000)


class Server(uvicorn.Server):
    """Uvicorn, but signals only end it: its own handling raises them again when it is done.

    That would end the process before the last things are written. `leaving` is called first and
    says for how many seconds the server still answers. `ready` is called once it listens.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        leaving: Callable[[], float] = lambda: 0.0,
        ready: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(config)
        self._leaving = leaving
        self._ready = ready

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until asked to end, listening on each socket by several handles."""
        every = [each.dup() for each in sockets or () for _ in range(_ACCEPTED_A_ROUND - 1)]
        await super().serve([*(sockets or ()), *every] or None)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then say so."""
        await super().startup(sockets)
        self._ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Let open requests finish on SIGTERM and SIGINT."""
        loop = asyncio.get_running_loop()

        def leave(number: int) -> None:
            loop.call_later(self._leaving(), self.handle_exit, number, None)

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, leave, number)
        yield


class ServingConfig(uvicorn.Config):
    """Uvicorn's configuration, with the application that answers inference the short way, if any.

    `InferenceProtocol` finds it here.
    """

    inference: Application | None = None


def configuration(
    served: ASGIApp,
    inference: Application | None = None,
    *,
    grace_seconds: int = SHUTDOWN_SECONDS,
) -> ServingConfig:
    """Return how uvicorn serves an application: HTTP/1.1 alone, logs and headers left to it.

    inference: answers inference past `served`, in the short way. grace_seconds: how long requests
    that are open at the end may take.
    """
    found = ServingConfig(
        served,
        loop="none",
        http="httptools" if inference is None else InferenceProtocol,
        lifespan="off",
        ws="none",
        log_config=None,
        access_log=False,
        log_level="warning",
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=grace_seconds,
        backlog=_BACKLOG,
    )
    found.inference = inference
    return found


def listen(port: int, host: str = HOST) -> socket.socket:
    """Return a listening socket; 0 lets the kernel choose the port.

    Raises:
        InfeasibleError: when the port is in use.
    """
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        message = f"port {port} of {host} cannot be used: {error.strerror}"
        raise InfeasibleError(message, fix="choose another port, or 0") from error
    return listening


def tune() -> None:
    """Make the interpreter fit to serve, once everything heavy is loaded."""
    sys.setswitchinterval(_SWITCH_SECONDS)
    gc.collect()
    gc.freeze()  # what is loaded by now stays, so collections need not look at it
    gc.set_threshold(*_OLDEST_GENERATION)


@contextlib.asynccontextmanager
async def rpc_server(
    served: object,
    host: str,
    port: int | None,
    *,
    face: str = "executors.serving.v2.rpc",
    grace_seconds: int = SHUTDOWN_SECONDS,
) -> AsyncGenerator[int | None]:
    """Serve gRPC meanwhile; gives the port, None when it is not wanted.

    face: module whose `start` binds a server of what is served to an address (extra `grpc`).
    grace_seconds: as for `configuration`.

    Raises:
        InfeasibleError: when grpcio is not installed or the port is in use.
    """
    if port is None:
        yield None
        return
    try:
        start = importlib.import_module(face).start
    except ImportError as error:
        message = "grpcio is not installed, so gRPC cannot be served"
        raise InfeasibleError(message, fix="pip install 'berth[grpc]'") from error
    try:
        server, bound = start(served, f"{host}:{port}")
    except RuntimeError as error:
        message = f"port {port} of {host} cannot be used for gRPC"
        raise InfeasibleError(message, fix="choose another port, or 0") from error
    await server.start()
    try:
        yield bound
    finally:
        await server.stop(grace_seconds)
