"""Servers of images, started without a container, that are asked before anything is promoted.

A server runs the program of the image's runtime layer with the libraries of the image's own layers
and none of ours (`python -S`), confined: it answers over a socket that we made, and reaches nothing
else. To load libraries takes longer than all else between a push and its answer, so after each
delivery one is started ahead: it has the libraries loaded and waits for the folder of a model. Each
serves one model and then ends, so no model meets what another one left.
"""

from __future__ import annotations

import shutil
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from engine.model.errors import DamagedError, NotFoundError
from executors.packaging.repository.surroundings import RUNNING, SERVER, Surroundings
from executors.packaging.security.sandbox.programs import Apart, Program

P = TypeVar("P", bound=Apart)
_AHEAD_MAX = 2
"""Waiting processes; each holds the libraries of one kind of model in memory."""
_SECONDS_MAX = 120.0
_LINE_BYTES_MAX = 4_096
_BACKLOG = 16


class ImageServer(Apart):
    """The server of an image: begun, told of a model, asked, ended. Not for several threads.

    Raises:
        NotFoundError: when this machine has no Python of the image's version.
    """

    def __init__(self, surroundings: Surroundings) -> None:
        interpreter = Path(_interpreter(surroundings.version))
        with socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG) as listening:
            self._port: int = listening.getsockname()[1]
            super().__init__(
                Program(
                    interpreter=interpreter,
                    options=("-S",),
                    file=SERVER,
                    arguments=("wait", *surroundings.modules),
                    libraries=surroundings.libraries,
                ),
                listening,
            )

    def endpoint(self) -> str:
        """Wait until it serves; return its address.

        Raises:
            DamagedError: when it ends, or does not serve in time; with its last words.
        """
        try:
            self.line(seconds=_SECONDS_MAX, bytes_max=_LINE_BYTES_MAX)
        except DamagedError as error:
            message = f"the image does not serve: {error.message}"
            raise DamagedError(message, fix=error.fix) from error
        return f"http://127.0.0.1:{self._port}"


class Ahead(Generic[P]):
    """Processes that wait for a model, some begun ahead. May be used from several threads.

    make: begins one.
    """

    def __init__(self, make: Callable[[Surroundings], P]) -> None:
        self._make = make
        self._ahead: dict[Surroundings, P] = {}
        self._ending: list[P] = []
        self._guard = threading.Lock()

    def take(self, surroundings: Surroundings) -> P:
        """Return a process that waits for a model, begun ahead where there is one; end it.

        Raises:
            NotFoundError: as `ImageServer`.
        """
        with self._guard:
            found = self._ahead.pop(surroundings, None)
        if found is not None and found.is_alive:
            return found
        if found is not None:
            found.end()
        return self._make(surroundings)

    def give_back(self, process: P) -> None:
        """Let a process end, without waiting for it; `put_away` does."""
        process.stop()
        with self._guard:
            self._ending.append(process)

    def prepare(self, surroundings: Surroundings) -> None:
        """Begin a process for the next model of this kind; the one begun longest ago gives way."""
        with self._guard:
            if surroundings in self._ahead:
                return
            while len(self._ahead) >= _AHEAD_MAX:
                self._ahead.pop(next(iter(self._ahead))).end()
            self._ahead[surroundings] = self._make(surroundings)

    def close(self) -> None:
        """End all that wait."""
        with self._guard:
            self._put_away()
            while self._ahead:
                self._ahead.popitem()[1].end()

    def put_away(self) -> None:
        """Wait for processes that were given back, and remove what they had."""
        with self._guard:
            self._put_away()

    def _put_away(self) -> None:
        while self._ending:
            self._ending.pop().end()


def _interpreter(version: str) -> str:
    """Return a Python of a version on this machine.

    Raises:
        NotFoundError: when there is none.
    """
    if version == RUNNING:
        return sys.executable
    found = shutil.which(f"python{version}")
    if found is None:
        message = f"the image has Python {version}, which this machine has not, so it is not asked"
        fix = f"install python{version}, or write `ask_image = false` below [tests] of model.toml"
        raise NotFoundError(message, fix=fix)
    return found
