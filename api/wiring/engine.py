"""The engine as a process: lock, term or lease, loops, server, and a clean end."""

from __future__ import annotations

import functools
import json
import logging
import os
import signal
import socket
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from api.settings import Settings
from api.wiring import garbage, loop_parts, parts
from api.wiring.application import Application
from api.wiring.leading import Alone, Standby
from api.wiring.parts import Parts
from engine import store
from engine.model.errors import RefusedError
from engine.testing.crash import CrashPoints

_LOG = logging.getLogger("berth.engine")
_BACKLOG = 256
_SHUTDOWN_SECONDS = 3


class EngineProcess:
    """Owns a data folder, runs the loops and serves the faces until it is told to stop.

    faces: makes the web application; given by the command line, which knows REST and pages.
    Tasks that run are no children in spirit: they go on, and the next start adopts them.
    """

    def __init__(self, settings: Settings, faces: Callable[[Application], ASGIApp]) -> None:
        self._settings = settings
        self._faces = faces

    def run(self, ready: Callable[[str], None]) -> None:
        """Run until SIGTERM or SIGINT.

        ready: told the base URL as soon as requests are taken.

        Raises:
            RefusedError: when another engine has the data folder, or the port is in use.
            BerthError: when a part cannot be made; nothing was started.
        """
        with ExitStack() as stack:
            self._run(ready, stack)
        _LOG.info("stopped")

    def _run(self, ready: Callable[[str], None], stack: ExitStack) -> None:
        settings = self._settings
        parts.prepare_home(settings.home)
        check_replica(settings)
        stack.enter_context(store.lock_folder(settings.home, settings.replica))
        listener = stack.enter_context(listen(settings.host, settings.port))
        points = loop_parts.crash_points(settings)
        made = loop_parts.with_crashes(parts.build(settings), points)
        stack.callback(made.close)
        loops = self._loops(made, points)
        stack.callback(loops.stop)
        application = Application(made, loops=loops.findings)
        server = _Server(_config(self._faces(application)), made.clock.stop)
        url = _url(settings.host, listener.getsockname()[1])
        write_address(settings.engine_file, url)
        stack.callback(settings.engine_file.unlink, missing_ok=True)
        garbage.spare_what_stays()
        loops.start()
        _LOG.info("at %s on %s", url, settings.home)
        # Whoever is told of us may end us at once, before the server minds signals itself. When it
        # has ended it passes them on, which must not end us before anything is put away.
        signal.signal(signal.SIGTERM, server.handle_exit)
        before = signal.signal(signal.SIGINT, server.handle_exit)
        ready(url)
        server.run(sockets=[listener])
        signal.signal(signal.SIGINT, before)

    def _loops(self, made: Parts, points: CrashPoints | None) -> Alone | Standby:
        settings = self._settings
        process = f"{settings.replica or socket.gethostname()}:{os.getpid()}"
        beyond = loop_parts.kubernetes_executor(made)
        make = functools.partial(loop_parts.plans, made, points=points, beyond=beyond)
        if not settings.replica:
            return Alone(make, store.begin_term(made.ledger, made.clock, process))
        seconds = settings.lease_seconds
        elector = store.Elector(made.ledger, made.clock, process, seconds=seconds)
        return Standby(make, elector, seconds)


def check_replica(settings: Settings) -> None:
    """Refuse a replica without a store that several machines can share.

    Raises:
        RefusedError: when it has a name, and its database is no PostgreSQL.
    """
    if settings.replica and not settings.database_url.startswith("postgresql"):
        raise RefusedError(
            f"replica {settings.replica!r} has the database {settings.database_url!r}: several "
            "engines need one PostgreSQL",
            fix="set BERTH_DATABASE=postgresql+psycopg://USER:PASSWORD@HOST/NAME",
        )


class _Server(uvicorn.Server):
    """A server that says when it is told to stop, so that endless streams can end."""

    def __init__(self, config: uvicorn.Config, on_exit: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_exit = on_exit

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take a signal."""
        self._on_exit()
        super().handle_exit(sig, frame)


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
    )


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens; port 0 takes a free one.

    Raises:
        RefusedError: when the port is in use, or the address is none of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        message = f"cannot listen at {host}:{port}: {error.strerror or error}"
        fix = "choose another port with `--port`, or `--port 0` for a free one"
        raise RefusedError(message, fix=fix, code="U004") from error
    return listener


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def write_address(path: Path, url: str) -> None:
    """Write where the engine is, all at once, so that nobody reads half of it."""
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps({"pid": os.getpid(), "url": url}) + "\n", encoding="utf-8")
    draft.replace(path)
