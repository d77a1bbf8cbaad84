"""The runner as a process of its own, and beside the model server of a serve task."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import uvloop
from starlette.types import ASGIApp, Receive, Scope, Send

from engine.model.errors import Fault, InvalidInputError
from executors.packaging.security.policies.gate import Gate
from executors.serving import faces, logs
from executors.serving.models import ServedModel
from executors.serving.runner import texts, uploads
from executors.serving.runner.errors import CallError
from executors.serving.runner.runner import OwnSlot, Runner
from executors.serving.runner.schema import compile_schema
from executors.serving.runner.server import CONTEXT, Observe, RunnerServer
from executors.tasks.context import append_line


class Serves(Protocol):
    """A server with one model in service, which is one reference."""

    @property
    def model(self) -> ServedModel:
        """What serves now."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """What a runner begins with, and what it minds.

    gate: the policy on models that are brought, None for none. audit: file to which every part
    that is put or refused is appended.
    """

    proto: Path | None = None
    configuration: Path | None = None
    gate: Gate | None = None
    audit: Path | None = None

    def record(self, before: str, after: str, error: str) -> None:
        """Append what happened to the audit file."""
        if self.audit is None:
            return
        action = "refused" if error else "swap"
        entry = {"at": time.time(), "action": action, "before": before, "after": after}
        append_line(self.audit, json.dumps({**entry, "error": error}, sort_keys=True))


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
        """Refuse a model other than the one that serves: the engine puts models in place here.

        It has the record of what a pipeline serves, its policy and its gates; a model put past it
        would be there with none of them knowing.

        Raises:
            CallError: when it is another one.
        """
        if model.digest != self._server.model.digest:
            text = f"{self._name!r} is served by its pipeline, which decides what serves"
            fix = "push the model to its pipeline, or start `berth runner` for any model"
            raise CallError(text, status=409, fix=fix)

    def put(self, model: ServedModel) -> None:
        """Keep the model that serves: `check` let no other through."""


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
    server: ASGIApp, serves: Serves, *, name: str, files: Files, observe: Observe
) -> ASGIApp:
    """Return a model server with a runner beside it, over the same model.

    Raises:
        InvalidInputError: when a file cannot be read, or the schema does not fit the model.
    """
    proto = files.proto or Path("no proto")
    with _placed(proto):
        schema = compile_schema(_bytes(proto))
        entries = texts.properties(_bytes(files.configuration)) if files.configuration else None
        runner = Runner(
            ServerSlot(serves, name),
            schema=schema,
            configuration=entries,
            gate=files.gate,
            record=files.record,
        )
    return Beside(server, RunnerServer(runner, observe=observe))


def from_files(model: Path | None, files: Files) -> Runner:
    """Return a runner that begins with some files; a model may also be a package's folder.

    Raises:
        InvalidInputError: when one cannot be used, or they do not fit each other.
    """
    loaded: ServedModel | None = None
    gate, proto, configuration = files.gate, files.proto, files.configuration
    if model is not None:
        with _placed(model):
            is_folder = model.is_dir()
            loaded = (
                uploads.load_folder(model, gate) if is_folder else uploads.load(_bytes(model), gate)
            )
    with _placed(proto or Path("no proto")):
        schema = compile_schema(_bytes(proto)) if proto else None
    with _placed(configuration or proto or Path("the runner")):
        entries = texts.properties(_bytes(configuration)) if configuration else None
        return Runner(
            OwnSlot(loaded),
            schema=schema,
            configuration=entries,
            gate=gate,
            record=files.record,
        )


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


def serve(
    runner: Runner, *, host: str, port: int, context: str, ready: Callable[[str], None]
) -> None:
    """Serve until SIGTERM or SIGINT. `ready` is told the address.

    Raises:
        InfeasibleError: when the address cannot be used.
    """
    logs.to_standard_error()
    listening = faces.listen(port, host)
    faces.tune()
    url = f"http://{host}:{listening.getsockname()[1]}{context}"
    configuration = faces.configuration(RunnerServer(runner, context=context))
    server = faces.Server(configuration, ready=lambda: ready(url))
    runner.trials.await_more()
    runner.trials.await_loaded()  # else the first upload would wait for what is imported
    with (
        contextlib.closing(runner.trials),
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop,
    ):
        loop.run(server.serve(sockets=[listening]))
