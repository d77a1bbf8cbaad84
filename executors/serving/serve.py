"""The built-in `serve` task: runs the model server until it is asked to end.

Says where it listens in the file `BERTH_ENDPOINT` once it can answer; the kernel chooses the port
unless the parameter `port` does. SIGTERM lets open requests finish.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import uuid
from collections.abc import Generator
from functools import partial
from pathlib import Path

import uvloop
from starlette.types import ASGIApp

from engine.model.errors import BerthError, InvalidInputError
from executors.packaging.security.policies.gate import Gate
from executors.serving import faces, logs, standalone, tracing
from executors.serving.models import Prediction
from executors.serving.packages import Packages
from executors.serving.runner.process import Files, beside
from executors.serving.server import AUDIT, ModelServer
from executors.serving.windows import Windows
from executors.tasks.context import BadInputError, Task, TaskError

_WINDOW_SECONDS = 1.0
_NO_PORT = -1
"""Without the parameter `grpc_port` no gRPC is served; 0 lets the kernel choose."""


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
    logs.to_standard_error()
    faces.tune()
    windows = Windows(task)
    packages.processes.warm()
    with contextlib.closing(packages.processes), _tracer(task) as tracer:
        application = ModelServer(model, packages, windows, _audit(task), tracer)
        served = _with_runner(task, application, windows)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(task, application, served, windows, listening, window_seconds))


@contextlib.contextmanager
def _tracer(task: Task) -> Generator[tracing.Tracer | None]:
    """Give what the environment asks for; at the end, what is recorded is sent.

    Raises:
        BadInputError: when its variables cannot be understood.
    """
    try:
        found = tracing.from_environment(task.environment, f"berth-{task.pipeline}")
    except InvalidInputError as error:
        raise BadInputError(f"traces: {error.message}") from error
    try:
        yield found
    finally:
        if found is not None:
            found.close()


def listen(port: int) -> socket.socket:
    """Return a socket on loopback; 0 lets the kernel choose the port.

    Raises:
        TaskError: when the port is in use.
    """
    try:
        return faces.listen(port)
    except BerthError as error:
        raise TaskError(error.message) from error


async def _serve(
    task: Task,
    application: ModelServer,
    served: ASGIApp,
    windows: Windows,
    listening: socket.socket,
    window_seconds: float,
) -> None:
    """Serve until a signal ends it. `served` is the application with what stands beside it."""
    grpc_wanted = int(task.number("grpc_port", _NO_PORT))
    wanted = None if grpc_wanted == _NO_PORT else grpc_wanted
    async with faces.rpc_server(application.service, faces.HOST, wanted) as grpc_port:
        endpoint = Path(task.environment["BERTH_ENDPOINT"])
        port: int = listening.getsockname()[1]
        server = faces.Server(
            faces.configuration(served, application.inference),
            ready=partial(standalone.write_endpoint, endpoint, faces.HOST, port, grpc_port),
        )
        measuring = asyncio.create_task(_measure(application, windows, window_seconds))
        try:
            await server.serve(sockets=[listening])
        finally:
            measuring.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await measuring
            features = [feature.name for feature in application.model.features]
            windows.flush(features, is_whole=False)


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
            files=Files(
                proto=folder / str(proto),
                configuration=folder / str(configuration) if configuration else None,
                gate=Gate(task.environment),
                audit=_audit(task),
            ),
            observe=observe,
        )
    except InvalidInputError as error:
        raise BadInputError(f"the model runner: {error.message}") from error


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


def _audit(task: Task) -> Path | None:
    """Return where swaps are recorded: beside the order of the attempt."""
    folder = task.environment.get("BERTH_ATTEMPT", "")
    return Path(folder) / AUDIT if folder else None
