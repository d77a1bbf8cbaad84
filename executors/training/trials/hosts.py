"""Where trials run: the port `Host` that a study gives work to, and the one with local processes.

`tasks` has the one whose trials are tasks of a cluster.
"""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

_END_SECONDS = 10.0
_CHUNK_BYTES = 1 << 16


class Host(Protocol):
    """Runs visits of trials, and tells what becomes of them. A context manager.

    An order names trial, attempt, parameters, seed, goal, folder, file_bytes_max and
    epoch_seconds_max. Told are `ready`, and by trial and attempt `started`, `epoch`, `failed` and
    `ended` (code as of a process, negative for a signal; cpu_seconds). What `ended` may add:
    reason, and `blameless` where the place is at fault and not the trial.

    hears_epochs: whether every epoch is told when it ends, so that silence means something;
    otherwise the host itself ends a visit that lasts too long.
    """

    hears_epochs: bool

    def __enter__(self) -> Self:
        """Return itself."""
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None:
        """End it with all its trials."""
        ...

    def adopt(self, orders: Sequence[Mapping[str, Any]]) -> Sequence[int]:
        """Take over visits that an earlier host of the study began; return their trials."""
        ...

    def send(self, order: Mapping[str, Any]) -> None:
        """Begin a visit, or end one: `{"kill": trial}`."""
        ...

    def take(self, seconds: float) -> list[dict[str, Any]] | None:
        """Return what happened meanwhile, waiting at most so long; None when the host is gone."""
        ...


class ProcessHost:
    """The process that forks trials on this machine, seen from the study."""

    hears_epochs = True

    def __init__(self, objective: str, folder: Path) -> None:
        self._buffer = b""
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        with (folder / "host.log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "executors.training.trials.host", objective],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**threads, **os.environ},
                bufsize=0,
            )
        self._selector = selectors.DefaultSelector()
        if self._process.stdout is not None:
            self._selector.register(self._process.stdout, selectors.EVENT_READ)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End it with all its trials."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._selector.close()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def adopt(self, orders: Sequence[Mapping[str, Any]]) -> Sequence[int]:
        """Return none: processes end with the host that forked them."""
        del orders
        return ()

    def send(self, order: Mapping[str, Any]) -> None:
        """Give an order; one that a dead host cannot take is noticed by `take`."""
        if self._process.stdin is None:
            return
        try:
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
        except BrokenPipeError:
            return

    def take(self, seconds: float) -> list[dict[str, Any]] | None:
        """Return what happened meanwhile; None when the host is gone."""
        if self._process.stdout is None or not self._selector.select(seconds):
            return []
        data = self._process.stdout.read(_CHUNK_BYTES)
        if not data:
            return None
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        return [json.loads(line) for line in lines]
