"""What became of the pushes of a model: a journal of one line an event, never changed."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from engine.model.errors import DamagedError, NotFoundError
from engine.model.identifiers import Digest

_DIGITS_MIN = 6


class Stage(StrEnum):
    """Where a release serves."""

    TEST = "test"
    PRODUCTION = "production"


class Kind(StrEnum):
    """What happened."""

    RELEASED = "released"
    UNATTESTED = "unattested"
    REFUSED = "refused"
    DEPLOYED = "deployed"
    ROLLED_BACK = "rolled back"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One line of the journal.

    at: seconds since 1970. package: digest under which servers know the model; of a refusal only
    where this delivery had released it. image: the whole image with its digest, "" for none.
    seconds: of each stage that was gone through, by its name.
    """

    at: float
    kind: Kind
    commit: str
    package: Digest | None = None
    image: str = ""
    stage: str = ""
    reason: str = ""
    seconds: Mapping[str, float] | None = None


class Journal:
    """The events of one model, oldest first. Several processes may append."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def append(self, event: Event) -> None:
        """Add an event, durably, after the last whole one: a crash may have cut off another."""
        line = json.dumps(asdict(event), sort_keys=True, separators=(",", ":")).encode() + b"\n"
        with self._path.open("ab+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)
            file.write(line)
            file.flush()
            os.fsync(file.fileno())

    def events(self) -> Sequence[Event]:
        """Return all events; a last line that was cut off by a crash is left out.

        Raises:
            DamagedError: when another line is none.
        """
        try:
            lines = self._path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return ()
        found = []
        for number, line in enumerate(lines[:-1], 1):
            try:
                found.append(_event(json.loads(line)))
            except (ValueError, KeyError, TypeError) as error:
                message = f"line {number} of {str(self._path)!r} is no event: {error}"
                raise DamagedError(message, fix="remove the line") from error
        return found

    def serving(self, stage: Stage) -> Event | None:
        """Return the event by which a stage serves what it serves now."""
        return next(iter(self._history(stage)[-1:]), None)

    def before(self, stage: Stage) -> Event:
        """Return what a stage served before that, for going back.

        Raises:
            NotFoundError: when it never served anything else.
        """
        history = self._history(stage)
        if len(history) > 1:
            return history[-2]
        raise NotFoundError(f"nothing else was in {stage.value} before")

    def find(self, name: str) -> Event:
        """Return the release of a commit or package, by the beginning of either; "" the newest.

        One that its own delivery refused in the end is none; an earlier one of the same commit is.

        Raises:
            NotFoundError: when there is none.
        """
        refused: set[tuple[str, str | None]] = set()
        for event in reversed(self.events()):
            if event.kind is Kind.REFUSED and event.package:
                refused.add((event.commit, event.package))
            if event.kind is not Kind.RELEASED:
                continue
            if (event.commit, event.package) in refused:
                refused.remove((event.commit, event.package))
                continue
            digest = (event.package or "").removeprefix("sha256:")
            wanted = name.removeprefix("sha256:")
            is_long = len(wanted) >= _DIGITS_MIN
            if not name or (
                is_long and (digest.startswith(wanted) or event.commit.startswith(wanted))
            ):
                return event
        message = f"there is no release {name!r}" if name else "nothing was released yet"
        raise NotFoundError(message, fix="`berth model list NAME` shows what there is")

    def _history(self, stage: Stage) -> list[Event]:
        """Return what a stage served, oldest first, without what was taken back."""
        history: list[Event] = []
        for event in self.events():
            if event.stage != stage.value:
                continue
            if event.kind is Kind.ROLLED_BACK:
                history = history[:-1]
            elif event.kind is Kind.DEPLOYED and (
                not history or history[-1].package != event.package
            ):
                history.append(event)
        return history


def _event(given: dict[str, Any]) -> Event:
    fields: dict[str, Any] = {**given, "kind": Kind(given["kind"])}
    return Event(**fields)
