"""The runner as a process of its own, and beside the model server of a serve task."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Protocol

import uvicorn
import uvloop
from starlette.types import ASGIApp, Receive, Scope, Send

from engine.model.errors import Fault, InvalidInputError
from executors.serving import standalone
from executors.serving.models import ServedModel
from executors.serving.runner import texts, uploads
from executors.serving.runner.errors import CallError
from executors.serving.runner.runner import OwnSlot, Runner
from executors.serving.runner.schema import compile_schema
from executors.serving.runner.server import CONTEXT, Observe, RunnerServer

_SHUTDOWN_SECONDS = 5
_SWITCH_SECONDS = 0.0005
"""How long the loop may hold the interpreter while a swap's thread waits for it, as in `serve`."""


class Serves(Protocol):
    """A server with one model in service, which is one reference."""

    @property
    def model(self) -> ServedModel:
        """What serves now."""
        ...

    @model.setter
    def model(self, model: ServedModel) -> None:
        """Serve another model from the next request on."""
        ...


class ServerSlot:
    """The model in service of a model server; whoever swaps it, both serve the same."""

    def __init__(self, server: Serves, name: str) -> None:
        self._server = server
        self._name = name

    @property
    def model(self) -> ServedModel:
        """The model in service."""
        return self._server.model

    def check(self, model: ServedModel) -> None:
        """Refuse a model of another name.

        Raises:
            CallError: when it has one.
        """
        if model.name != self._name:
            text = f"the package holds {model.name!r}, this server serves {self._name!r}"
            raise CallError(text, status=409, fix="start `berth runner` for any model")

    def put(self, model: ServedModel) -> None:
        """Let another model serve, from the next call on."""
        self._server.model = model


class Beside:
    """Sends calls below the runner's context to it, and all others to the model server."""

    def __init__(self, server: ASGIApp, runner: RunnerServer, context: str = CONTEXT) -> None:
        self._server = server
        self._runner = runner
        self._prefix = f"{context.rstrip('/')}/"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        mine = scope["type"] == "http" and scope["path"].startswith(self._prefix)
        await (self._runner if mine else self._server)(scope, receive, send)


def beside(
    server: ASGIApp, serves: Serves, *, name: str, proto: Path, configuration: Path | None,
    observe: Observe,
) -> ASGIApp:  # fmt: skip
    """Return a model server with a runner beside it, over the same model.

    Raises:
        InvalidInputError: when a file cannot be read, or the schema does not fit the model.
    """
    with _placed(proto):
        schema = compile_schema(_bytes(proto))
        entries = texts.properties(_bytes(configuration)) if configuration else None
        runner = Runner(ServerSlot(serves, name), schema=schema, configuration=entries)
    return Beside(server, RunnerServer(runner, observe=observe))


def from_files(model: Path | None, proto: Path | None, configuration: Path | None) -> Runner:
    """Return a runner that begins with some files; a model may also be a package's folder.

    Raises:
        InvalidInputError: when one cannot be used, or they do not fit each other.
    """
    loaded: ServedModel | None = None
    if model is not None:
        with _placed(model):
            loaded = uploads.load_folder(model) if model.is_dir() else uploads.load(_bytes(model))
    with _placed(proto or Path("no proto")):
        schema = compile_schema(_bytes(proto)) if proto else None
    with _placed(configuration or proto or Path("the runner")):
        entries = texts.properties(_bytes(configuration)) if configuration else None
        return Runner(OwnSlot(loaded), schema=schema, configuration=entries)


@contextlib.contextmanager
def _placed(path: Path) -> Generator[None]:
    """Turn what is wrong with a file into an error that names it."""
    try:
        yield
    except (CallError, OSError) as error:
        said = error.message if isinstance(error, CallError) else str(error)
        fix = error.fix if isinstance(error, CallError) else ""
        raise InvalidInputError(str(path), [Fault(code="M001", message=said, fix=fix)]) from error


def _bytes(path: Path) -> bytes:
    return path.read_bytes()


class _Server(uvicorn.Server):
    """Uvicorn that says when it listens."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then say so."""
        await super().startup(sockets)
        self._ready()


def serve(
    runner: Runner, *, host: str, port: int, context: str, ready: Callable[[str], None]
) -> None:
    """Serve until SIGTERM or SIGINT. `ready` is told the address.

    Raises:
        InfeasibleError: when the address cannot be used.
    """
    listening = standalone.listen(port, host)
    sys.setswitchinterval(_SWITCH_SECONDS)
    config = uvicorn.Config(
        RunnerServer(runner, context=context),
        loop="none",
        http="httptools",
        lifespan="off",
        ws="none",
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
    )
    url = f"http://{host}:{listening.getsockname()[1]}{context}"
    server = _Server(config, lambda: ready(url))
    with (
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop,
        contextlib.suppress(KeyboardInterrupt),
    ):
        loop.run(server.serve(sockets=[listening]))
