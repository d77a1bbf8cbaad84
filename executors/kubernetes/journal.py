"""What pods measured, as the artefact endpoint took it: files of an hour each, appended and read.

A reader's position says how far each file was read. What a position covers is stored, so a file of
an earlier hour that was read to its end is removed; nothing grows for ever. Each engine that shares
the data folder appends to files of its own.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from engine.model import documents
from engine.model.dispatches import AttemptOrder
from engine.model.errors import DamagedError
from engine.model.signals import Signal
from engine.ports import Clock
from executors.tasks.context import append_line

_LOG = logging.getLogger(__name__)
_HOUR_SECONDS = 3_600
_READ_BYTES_MAX = 4 << 20
"""Most that is read of one file at once; the rest comes with the next call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """Whose signals an address takes. It is signed, so that pods speak for themselves only."""

    pipeline: str
    task: str
    cluster: str
    pool: str

    @property
    def address(self) -> str:
        """Return it as the name in a signed address."""
        return "/".join((self.pipeline, self.task, self.cluster, self.pool))

    @classmethod
    def of_order(cls, order: AttemptOrder) -> Sender:
        """Return the sender that an attempt is."""
        return cls(pipeline=order.pipeline, task=order.task, cluster=order.cluster, pool=order.pool)

    @classmethod
    def of(cls, address: str) -> Sender:
        """Return the sender of an address that `address` made."""
        pipeline, task, cluster, pool = address.split("/", 3)
        return cls(pipeline=pipeline, task=task, cluster=cluster, pool=pool)

    @property
    def labels(self) -> dict[str, str]:
        """Return what all its signals share."""
        return {
            "pipeline": self.pipeline,
            "task": self.task,
            "cluster": self.cluster,
            "pool": self.pool,
        }


class Journal:
    """Signals of pods in a folder. replica: name of this engine among those that share it."""

    def __init__(self, folder: Path, clock: Clock, replica: str = "") -> None:
        self._folder = folder
        self._clock = clock
        self._replica = replica or "engine"
        self._lock = threading.Lock()

    def append(self, sender: Sender, content: bytes) -> int:
        """Keep signals, one a line; return how many.

        A time to come is taken as now: the clock of a node may be wrong, and nothing was measured
        then. Labels of the sender win.

        Raises:
            DamagedError: when a line is no signal, or measures what belongs to another pipeline;
                nothing is kept.
        """
        now = self._clock.now()
        found = [documents.decode(Signal, line) for line in content.splitlines()]
        for signal in found:
            owner = signal.subject.partition(":")[2].partition("/")[0]
            if owner != sender.pipeline:
                message = f"{signal.subject!r} is not of pipeline {sender.pipeline!r}"
                raise DamagedError(message, fix="name the pipeline first in the subject")
        lines = [
            documents.encode(
                replace(each, at=min(each.at, now), labels={**each.labels, **sender.labels})
            )
            for each in found
        ]
        if lines:
            self._folder.mkdir(parents=True, exist_ok=True)
            path = self._folder / f"{int(now // _HOUR_SECONDS):010d}-{self._replica}.jsonl"
            with self._lock:
                append_line(path, "\n".join(lines))
        return len(lines)

    def read(self, position: str, until: float) -> tuple[list[Signal], str]:
        """Return signals after a position, none after the instant `until`, and where to go on.

        Files that the position covers and nobody appends to any more are removed.
        """
        start = _parse(position)
        signals: list[Signal] = []
        offsets: dict[str, int] = {}
        for path in sorted(self._folder.glob("*.jsonl")):
            offset = start.get(path.name, 0)
            if self._is_over(path, offset):
                path.unlink(missing_ok=True)
                continue
            for signal, following in _signals(path, offset):
                if signal is not None and signal.at > until:
                    break
                offset = following
                if signal is not None:
                    signals.append(signal)
            offsets[path.name] = offset
        return signals, json.dumps(offsets, sort_keys=True)

    def _is_over(self, path: Path, offset: int) -> bool:
        hour = int(path.name.partition("-")[0])
        is_old = hour + 1 < self._clock.now() // _HOUR_SECONDS
        return is_old and offset >= path.stat().st_size


def _signals(path: Path, offset: int) -> Iterator[tuple[Signal | None, int]]:
    """Yield the signals in whole lines after an offset, each with the offset behind it."""
    with path.open("rb") as file:
        file.seek(offset)
        data = file.read(_READ_BYTES_MAX)
    for line in data[: data.rfind(b"\n") + 1].splitlines(keepends=True):
        offset += len(line)
        try:
            yield documents.decode(Signal, line), offset
        except DamagedError as error:
            _LOG.warning("%s has a line that is no signal: %s", path, error.message)
            yield None, offset


def _parse(position: str) -> Mapping[str, int]:
    """Read a position; one that is damaged starts anew, since signals are written by key."""
    try:
        value: object = json.loads(position or "{}")
        return {str(name): int(at) for name, at in cast("dict[str, int]", value).items()}
    except (ValueError, AttributeError, TypeError):
        _LOG.warning("the position of the signals of pods is damaged; reading from the start")
        return {}
