"""A model server over a folder of models: `berth serve FOLDER`, or `python -m executors.serving`.

SIGTERM makes it say that it is not ready, lets open requests finish, and ends it.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import importlib
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn
import uvloop

from engine.model.errors import BerthError, InfeasibleError, NotFoundError
from executors.packaging.registry import OciRegistry
from executors.packaging.security.policies.gate import Gate
from executors.serving import logs, tracing
from executors.serving.pushed import Pushed, admit
from executors.serving.runtime.shelf import Shelf
from executors.serving.v2.application import Application
from executors.serving.v2.http_protocol import InferenceProtocol
from executors.serving.v2.routes import Routes
from executors.serving.v2.service import InferenceService, Limits

HOST = "127.0.0.1"
SHUTDOWN_SECONDS = 5
_STARTING_SECONDS = 0.01
_SWITCH_SECONDS = 0.0005
"""How long the loop may hold the interpreter while a swap's thread waits for it. With Python's own
5 ms a swap under load takes several times as long: its thread waits anew after every read."""
_ACCEPTED_A_ROUND = 16
"""The loop accepts one connection of a listening socket a round, and answers all that are open
before the next: sixty-four clients that come at once would wait for sixty-four rounds."""
_OLDEST_GENERATION = (10_000, 50, 1_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """How a server is run. Ports: 0 lets the kernel choose; no gRPC without `grpc_port`.

    drain_seconds: how long it goes on answering after SIGTERM while it says it is not ready.
    announce: called with the two ports once both can answer. environment: variables that say how
    to trace, which policy holds (`BERTH_POLICY`, `BERTH_HOME`) and where pushed models are kept
    (`BERTH_MODELS`, else `models` in the data folder).
    """

    folder: Path
    host: str = HOST
    port: int = 8080
    grpc_port: int | None = None
    drain_seconds: float = 0.0
    limits: Limits = field(default_factory=Limits)
    audit: Path | None = None
    announce: Callable[[int, int | None], None] | None = None
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))


class Server(uvicorn.Server):
    """Uvicorn, but signals only end it: its own handling raises them again when it is done.

    That would end the process before the last things are written. `leaving` is called first and
    may wait a while, in which the server still answers.
    """

    def __init__(self, config: uvicorn.Config, leaving: Callable[[], float] = lambda: 0.0) -> None:
        super().__init__(config)
        self._leaving = leaving

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until asked to end, listening on each socket by several handles."""
        every = [each.dup() for each in sockets or () for _ in range(_ACCEPTED_A_ROUND - 1)]
        await super().serve([*(sockets or ()), *every] or None)

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
    """Uvicorn's configuration, with the application that answers inference the short way."""

    inference: Application


def configuration(served: Any, inference: Application) -> ServingConfig:  # noqa: ANN401
    """Return how uvicorn serves an application that answers inference as `inference` does."""
    found = ServingConfig(
        served,
        loop="none",
        http=InferenceProtocol,
        lifespan="off",
        ws="none",
        log_config=None,
        access_log=False,
        log_level="warning",
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        backlog=1024,
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


def run(settings: ServerSettings) -> None:
    """Serve every model of a folder until a signal ends it.

    Raises:
        NotFoundError: when there is no such folder.
        InfeasibleError: when a port is in use.
        BerthError: when no model can be loaded.
    """
    if not settings.folder.is_dir():
        message = f"there is no folder {str(settings.folder)!r} to serve models of"
        raise NotFoundError(message, fix="name a folder of models; it may be empty")
    logs.to_standard_error()
    listening = listen(settings.port, settings.host)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings, listening))


async def _serve(settings: ServerSettings, listening: socket.socket) -> None:
    environment = settings.environment
    allowed = functools.partial(admit, Gate(environment))
    shelf = Shelf(folder=settings.folder, audit=settings.audit, admit=allowed)
    shelf.is_starting = True
    shelf.processes.warm()
    await load_all(shelf)
    shelf.is_starting = False
    tracer = tracing.from_environment(environment, "berth-model-server")
    service = InferenceService(shelf=shelf, limits=settings.limits, tracer=tracer)
    application = Application(
        service, Routes(service, pushed=pushed_to(settings, shelf)).application
    )

    def leaving() -> float:
        service.draining = True
        return settings.drain_seconds

    server = Server(configuration(application, application), leaving)
    tune()
    async with rpc_server(service, settings.host, settings.grpc_port) as grpc_port:
        port: int = listening.getsockname()[1]
        announcing = asyncio.create_task(_announce(server, settings, port, grpc_port))
        try:
            await server.serve(sockets=[listening])
        finally:
            announcing.cancel()
    await shelf.close()
    if tracer is not None:
        tracer.close()


def pushed_to(settings: ServerSettings, shelf: Shelf) -> Pushed | None:
    """Return what serves pushed models, None where no registry of them is known."""
    environment = settings.environment
    home = environment.get("BERTH_HOME")
    models = environment.get("BERTH_MODELS") or (f"{home}/models" if home else "")
    return Pushed(shelf, settings.folder, OciRegistry(Path(models))) if models else None


async def load_all(shelf: Shelf) -> None:
    """Load every model of the repository; one that cannot be loaded is kept in the index.

    Raises:
        BerthError: when there are models, but none can be loaded.
    """
    failure: BerthError | None = None
    for name in shelf.names():
        try:
            await shelf.load(name)
        except BerthError as error:
            failure = error
    if failure is not None and not shelf.slots:
        raise failure


@contextlib.asynccontextmanager
async def rpc_server(
    served: object, host: str, port: int | None, *, face: str = "executors.serving.v2.rpc"
) -> AsyncGenerator[int | None]:
    """Serve gRPC meanwhile; gives the port, None when it is not wanted.

    face: module whose `start` binds a server of what is served to an address (extra `grpc`).

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
        await server.stop(SHUTDOWN_SECONDS)


async def _announce(
    server: Server, settings: ServerSettings, port: int, grpc_port: int | None
) -> None:
    """Say where the server listens as soon as it does."""
    while not server.started:
        await asyncio.sleep(_STARTING_SECONDS)
    if settings.announce is not None:
        settings.announce(port, grpc_port)


def write_endpoint(path: Path, host: str, port: int, grpc_port: int | None) -> None:
    """Write where a server listens, in one step."""
    partial = path.with_name(f".{path.name}")
    document = {"url": f"http://{host}:{port}", "pid": os.getpid()}
    if grpc_port is not None:
        document["grpc"] = f"{host}:{grpc_port}"
    partial.write_text(json.dumps(document), encoding="utf-8")
    partial.replace(path)
