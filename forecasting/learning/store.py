"""Versions of learned models as files of the data folder, one of them in force.

A file holds a checksum in its first line and one version below it. It is written beside its place
and moved there, so that a crash leaves the old state. `in-force` names the version that is used;
going back writes another name. A version that is damaged is passed over: the last good one before
it is used, and whoever asks is told.
"""

from __future__ import annotations

import threading
from pathlib import Path

from engine.model import documents
from engine.model.errors import DamagedError, RefusedError
from engine.model.learning import ModelVersion
from forecasting.learning.learned import Learned, Oracle

_IN_FORCE = "in-force"
_NONE = 0
_MOST_KEPT = 30


class LearningStore:
    """The learning store of a data folder. May be used from several threads.

    folder: made when something is first kept.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._read: tuple[tuple[int, int], Oracle | None, str] | None = None

    def in_force(self) -> tuple[Oracle | None, str]:
        """Return the models that are used and what is wrong with the store, "" when nothing is."""
        with self._lock:
            stamp = self._stamp()
            if self._read is None or self._read[0] != stamp:
                oracle, note = self._load()
                self._read = (stamp, oracle, note)
            return self._read[1], self._read[2]

    def versions(self) -> tuple[ModelVersion, ...]:
        """Return every version that can be read, newest first."""
        found: list[ModelVersion] = []
        for number in reversed(self._numbers()):
            try:
                found.append(self._version(number).version)
            except DamagedError:
                continue
        return tuple(found)

    def next_number(self) -> int:
        """Return the number of the next version."""
        return max(self._numbers(), default=_NONE) + 1

    def keep(self, learned: Learned) -> None:
        """Keep a version; it is in force at once when it is promoted."""
        number = learned.version.number
        content = documents.encode(learned)
        with self._lock:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._write(self._path(number), f"{documents.sha256(content.encode())}\n{content}")
            if learned.version.promoted:
                self._write(self._folder / _IN_FORCE, f"{number}\n")
            self._forget()

    def roll_back(self) -> tuple[int, int]:
        """Use the promoted version before the one in force again; return both, the new one last.

        Raises:
            RefusedError: when nothing is in force.
        """
        oracle, _ = self.in_force()
        if oracle is None:
            message = "no learned version is in force, so there is nothing to go back from"
            raise RefusedError(message, fix="`berth learning` shows what there is")
        earlier = self._good_before(oracle.number)
        number = _NONE if earlier is None else earlier.number
        with self._lock:
            self._write(self._folder / _IN_FORCE, f"{number}\n")
        return oracle.number, number

    def _stamp(self) -> tuple[int, int]:
        """Return what changes whenever another version is in force."""
        try:
            status = (self._folder / _IN_FORCE).stat()
        except OSError:
            return (0, 0)
        return (status.st_mtime_ns, status.st_ino)

    def _load(self) -> tuple[Oracle | None, str]:
        """Return the version in force, or the last good one before it and what is wrong."""
        try:
            text = (self._folder / _IN_FORCE).read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            lost = any(version.promoted for version in self.versions())
            text = "no file" if lost else str(_NONE)
        except (OSError, UnicodeDecodeError):
            text = "unreadable"
        if text == str(_NONE):
            return None, ""
        newest = self.next_number()
        if not text.isdecimal():
            said = f"the learning store does not say which version is in force ({text[:20]!r})"
            return self._last_good(newest, said)
        try:
            return Oracle(self._version(int(text))), ""
        except DamagedError as error:
            return self._last_good(int(text), error.message)

    def _last_good(self, before: int, problem: str) -> tuple[Oracle | None, str]:
        """Return the last good version before a number, with the problem in words."""
        oracle = self._good_before(before)
        used = "presets and runs alone are" if oracle is None else f"version {oracle.number} is"
        return oracle, f"{problem}; {used} used"

    def _good_before(self, before: int) -> Oracle | None:
        """Return the last promoted version before a number that can be read."""
        for number in reversed([n for n in self._numbers() if n < before]):
            try:
                learned = self._version(number)
            except DamagedError:
                continue
            if learned.version.promoted:
                return Oracle(learned)
        return None

    def _version(self, number: int) -> Learned:
        """Return a version.

        Raises:
            DamagedError: when it cannot be read or is not what was written.
        """
        path = self._path(number)
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            message = f"version {number} of the learning store cannot be read ({path.name})"
            raise DamagedError(message, fix="`berth learning refit` makes a new one") from error
        checksum, _, content = text.partition("\n")
        if documents.sha256(content.encode()) != checksum:
            message = f"version {number} of the learning store is damaged ({path.name})"
            raise DamagedError(message, fix="`berth learning refit` makes a new one")
        return documents.decode(Learned, content)

    def _numbers(self) -> list[int]:
        """Return the numbers of all versions, rising."""
        found = (path.stem for path in self._folder.glob("*.txt"))
        return sorted(int(stem) for stem in found if stem.isdecimal())

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:06d}.txt"

    def _write(self, path: Path, text: str) -> None:
        """Write a file all at once, so that nobody reads half of it."""
        draft = path.with_suffix(".draft")
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)

    def _forget(self) -> None:
        """Remove the oldest versions beyond those that are kept."""
        for number in self._numbers()[:-_MOST_KEPT]:
            self._path(number).unlink(missing_ok=True)
