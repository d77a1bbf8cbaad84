"""A model server over a folder of models: `berth serve FOLDER`, or `python -m executors.serving`.

SIGTERM makes it say that it is not ready, lets open requests finish, and ends it.
"""

from __future__ import annotations

import asyncio
import functools
import json
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

from engine.model.errors import BerthError, NotFoundError
from executors.packaging.registry import OciRegistry
from executors.packaging.security.policies.gate import Gate
from executors.serving import faces, logs, tracing
from executors.serving.pushed import Pushed, admit
from executors.serving.runtime.shelf import Shelf
from executors.serving.v2.application import Application
from executors.serving.v2.routes import Routes
from executors.serving.v2.service import InferenceService, Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """How a server is run. Ports: 0 lets the kernel choose; no gRPC without `grpc_port`.

    drain_seconds: how long it goes on answering after SIGTERM while it says it is not ready.
    announce: called with the two ports once both can answer. environment: variables that say how
    to trace, which policy holds (`BERTH_POLICY`, `BERTH_HOME`) and where pushed models are kept
    (`BERTH_MODELS`, else `models` in the data folder).
    """

    folder: Path
    host: str = faces.HOST
    port: int = 8080
    grpc_port: int | None = None
    drain_seconds: float = 0.0
    limits: Limits = field(default_factory=Limits)
    audit: Path | None = None
    announce: Callable[[int, int | None], None] = lambda *_: None
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))


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
    listening = faces.listen(settings.port, settings.host)
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

    faces.tune()
    async with faces.rpc_server(service, settings.host, settings.grpc_port) as grpc_port:
        port: int = listening.getsockname()[1]
        ready = functools.partial(settings.announce, port, grpc_port)
        configuration = faces.configuration(application, application)
        await faces.Server(configuration, leaving, ready).serve(sockets=[listening])
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


def write_endpoint(path: Path, host: str, port: int, grpc_port: int | None) -> None:
    """Write where a server listens, in one step."""
    partial = path.with_name(f".{path.name}")
    document = {"url": f"http://{host}:{port}", "pid": os.getpid()}
    if grpc_port is not None:
        document["grpc"] = f"{host}:{grpc_port}"
    partial.write_text(json.dumps(document), encoding="utf-8")
    partial.replace(path)
