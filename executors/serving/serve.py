"""The built-in `serve` task: runs the model server until it is asked to end.

Says where it listens in the file `BERTH_ENDPOINT` once it can answer; the kernel chooses the port
unless the parameter `port` does. SIGTERM lets open requests finish.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import signal
import socket
import sys
import uuid
from collections.abc import Generator
from pathlib import Path
from typing import cast

import uvicorn
import uvloop
from starlette.types import ASGIApp

from engine.model.errors import BerthError, InvalidInputError
from executors.serving.models import Prediction
from executors.serving.packages import Packages
from executors.serving.runner.process import beside
from executors.serving.server import ModelServer
from executors.serving.windows import Windows
from executors.tasks.context import BadInputError, Task, TaskError

_HOST = "127.0.0.1"
_WINDOW_SECONDS = 1.0
_STARTING_SECONDS = 0.01
_SHUTDOWN_SECONDS = 5
_SWITCH_SECONDS = 0.0005
"""How long the loop may hold the interpreter while a swap's thread waits for it. With Python's own
5 ms a swap under load takes several times as long: its thread waits anew after every read."""


def run(task: Task) -> None:
    """Load the package of the upstream task and serve it."""
    packages = Packages(task.pipeline, task.environment)
    name, layout = _package(task)
    try:
        model = packages.load(_digest_asked_for(task, name), layout)
        packages.note_serving(model)
    except BerthError as error:
        raise BadInputError(f"the package of {name!r}: {error.message}") from error
    if model.name != task.pipeline:
        raise BadInputError(f"the package of {name!r} holds {model.name!r}, not {task.pipeline!r}")
    task.write_outputs({})
    window_seconds = max(0.05, task.number("window_seconds", _WINDOW_SECONDS))
    listening = listen(int(task.number("port", 0)))
    sys.setswitchinterval(_SWITCH_SECONDS)
    gc.freeze()  # what is loaded by now stays, so collections need not look at it
    windows = Windows(task)
    application = ModelServer(model, packages, windows)
    served = _with_runner(task, application, windows)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(task, application, served, windows, listening, window_seconds))


def listen(port: int) -> socket.socket:
    """Return a socket on loopback; 0 lets the kernel choose the port.

    Raises:
        TaskError: when the port is in use.
    """
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((_HOST, port))
    except OSError as error:
        listening.close()
        raise TaskError(f"port {port} of {_HOST} cannot be used: {error.strerror}") from error
    return listening


class _Server(uvicorn.Server):
    """Uvicorn, but signals only end it: its own handling raises them again when it is done.

    That would end the process before the last window is written.
    """

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Let open requests finish on SIGTERM and SIGINT."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield


async def _serve(
    task: Task,
    application: ModelServer,
    served: ASGIApp,
    windows: Windows,
    listening: socket.socket,
    window_seconds: float,
) -> None:
    """Serve until a signal ends it. `served` is the application with what stands beside it."""
    config = uvicorn.Config(
        served,
        loop="none",
        http="httptools",
        lifespan="off",
        ws="none",
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
        backlog=1024,
    )
    server = _Server(config)
    beside = asyncio.gather(
        _announce(task, server, listening), _measure(application, windows, window_seconds)
    )
    try:
        await server.serve(sockets=[listening])
    finally:
        beside.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await beside
        windows.flush([feature.name for feature in application.model.features])


def _with_runner(task: Task, application: ModelServer, windows: Windows) -> ASGIApp:
    """Return the server, with a model runner beside it when the parameter `runner_proto` says so.

    Raises:
        BadInputError: when the schema is none, or does not fit the model.
    """
    proto, configuration = task.settings.get("runner_proto"), task.settings.get("runner_config")
    if not proto:
        return application
    folder = Path(task.environment["BERTH_FOLDER"])

    def observe(found: Prediction, latency_ms: float) -> None:
        windows.answered(uuid.uuid4().hex, found, latency_ms)

    try:
        return beside(
            application,
            application,
            name=task.pipeline,
            proto=folder / str(proto),
            configuration=folder / str(configuration) if configuration else None,
            observe=observe,
        )
    except InvalidInputError as error:
        raise BadInputError(f"the model runner: {error.message}") from error


async def _announce(task: Task, server: uvicorn.Server, listening: socket.socket) -> None:
    """Say where the server listens as soon as it does."""
    while not server.started:
        await asyncio.sleep(_STARTING_SECONDS)
    port = cast("tuple[str, int]", listening.getsockname())[1]
    path = Path(task.environment["BERTH_ENDPOINT"])
    partial = path.with_name(f".{path.name}")
    partial.write_text(json.dumps({"url": f"http://{_HOST}:{port}", "pid": os.getpid()}))
    partial.replace(path)


async def _measure(application: ModelServer, windows: Windows, seconds: float) -> None:
    """Append the signals of each window."""
    while True:
        await asyncio.sleep(seconds)
        windows.flush([feature.name for feature in application.model.features])


def _package(task: Task) -> tuple[str, Path]:
    """Return name and folder of the upstream task that packaged a model.

    Of several, as after a restart with the package in service, all hold the same.
    """
    found = list(task.upstream_folders("oci-layout"))
    if not found:
        raise BadInputError("no upstream task packaged a model (no oci-layout in its outputs)")
    return found[0]


def _digest_asked_for(task: Task, name: str) -> str:
    """Return the digest under which the engine knows the package: that of its artefact."""
    path = Path(task.environment.get("BERTH_ATTEMPT", "")) / "order.json"
    try:
        document = json.loads(path.read_bytes())
        return str(document["inputs"][name])
    except (OSError, ValueError, KeyError, TypeError):
        return ""  # started by hand; it answers to the digest of its manifest
