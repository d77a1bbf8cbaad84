"""All models of a server: found in a folder, loaded, swapped, unloaded; each step is recorded.

FOLDER/NAME/model.json          settings of the model (optional)
FOLDER/NAME/VERSION/model.onnx  a version: see `loading` for the files
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from engine.model.errors import BerthError, DamagedError, NotFoundError
from executors.packaging.security.policies.policy import AllowedPickle
from executors.serving.runtime import settings as settings_file
from executors.serving.runtime.faults import not_found
from executors.serving.runtime.processes import Processes
from executors.serving.runtime.servables import Servable, open_servable
from executors.serving.runtime.settings import ModelSettings
from executors.serving.runtime.slots import Deployed, Slot
from executors.tasks.context import append_line

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the repository's index."""

    name: str
    version: str
    state: str
    reason: str


@dataclass(slots=True)
class Shelf:
    """The models of a server. Used by the thread of the event loop.

    folder: the model repository, None for a server whose models are handed in.
    audit: file of JSON lines that records every load, swap, rollback and unload.
    is_starting: true while nobody is served yet, so that imports hold up nobody.
    admit: asked about the folder of each version before it is loaded; raises what it refuses by,
    and returns by whose leave it may hold a pickle.
    """

    folder: Path | None = None
    audit: Path | None = None
    clock: Clock = time.time
    slots: dict[str, Slot] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    swaps: int = 0
    is_starting: bool = False
    admit: Callable[[Path], AllowedPickle | None] | None = None
    processes: Processes = field(default_factory=Processes)
    _locks: dict[str, asyncio.Lock] = field(default_factory=dict)

    def slot(self, name: str) -> Slot:
        """Return the place of a model.

        Raises:
            RequestError: when it is not loaded.
        """
        found = self.slots.get(name)
        if found is None:
            known = ", ".join(sorted(self.slots)) or "none"
            raise not_found(f"there is no model {name!r}; served are: {known}")
        return found

    def names(self) -> list[str]:
        """Return the models of the repository and those that serve."""
        found = set(self.slots)
        if self.folder is not None and self.folder.is_dir():
            found |= {path.name for path in self.folder.iterdir() if _is_model(path)}
        return sorted(found)

    def index(self) -> list[Entry]:
        """Return all models with their versions and states."""
        entries: list[Entry] = []
        for name in self.names():
            slot = self.slots.get(name)
            if slot is None:
                reason = self.failures.get(name, "not loaded")
                entries.append(Entry(name, "", "UNAVAILABLE", reason))
                continue
            for servable in slot.current.versions:
                state = "READY" if servable.is_ready else "UNAVAILABLE"
                entries.append(Entry(name, servable.version, state, ""))
        return entries

    async def load(self, name: str, given: bytes | None = None) -> Slot:
        """Load a model's versions as its settings want and serve them, in place of older ones.

        Versions whose files and settings did not change are kept. Until all are loaded and
        proved, what serves now goes on.

        given: settings to use in place of those of the folder.

        Raises:
            NotFoundError: when the repository has no such model.
            DamagedError: when a version cannot be loaded or answers its golden requests wrongly.
            RefusedError: when `admit` refuses a version.
        """
        folder = self._folder(name)  # first: names that are none would be remembered for ever
        async with self._locks.setdefault(name, asyncio.Lock()):
            began = time.perf_counter()
            try:
                chosen = (
                    settings_file.read(folder)
                    if given is None
                    else settings_file.decode(given, settings_file.FILE)
                )
                following = await self._open(name, _wanted(folder, chosen), chosen)
            except BerthError as error:
                self.failures[name] = error.message
                self._record("load", name, self._seconds(began), error=error.message)
                raise
            return self._serve(name, following, began, "load")

    def put(self, name: str, servable: Servable, action: str = "swap") -> Slot:
        """Serve a version that was loaded elsewhere."""
        following = Deployed.of([servable], servable.version, servable.settings.routing)
        return self._serve(name, following, time.perf_counter(), action)

    def note_refused(self, name: str, reason: str) -> None:
        """Record that a version was not loaded elsewhere; what serves goes on."""
        self._record("load", name, 0.0, error=reason)

    def roll_back(self, name: str) -> Slot:
        """Serve what served before the last swap.

        Raises:
            RequestError: when the model is not loaded.
            RefusedError: when nothing served before.
        """
        began = time.perf_counter()
        slot = self.slot(name)
        before = slot.current
        current = slot.go_back()
        self.swaps += 1
        self._record("rollback", name, self._seconds(began), before=before, after=current)
        return slot

    async def unload(self, name: str) -> None:
        """Stop serving a model; its open requests finish.

        Raises:
            RequestError: when it is not loaded.
        """
        self.slot(name)
        async with self._locks.setdefault(name, asyncio.Lock()):
            began = time.perf_counter()
            slot = self.slot(name)
            del self.slots[name]
            await slot.close()
            self._record("unload", name, self._seconds(began), before=slot.current)

    async def close(self) -> None:
        """Free all models."""
        for slot in list(self.slots.values()):
            await slot.close()
        self.slots.clear()
        await asyncio.to_thread(self.processes.close)

    async def _open(self, name: str, wanted: list[str], chosen: ModelSettings) -> Deployed:
        """Load versions; when one fails, those that were loaded before it are freed again."""
        slot = self.slots.get(name)
        found: list[Servable] = []
        try:
            for version in wanted:
                found.append(await self._version(name, version, chosen))  # noqa: PERF401 - see below
            return Deployed.of(found, chosen.default, chosen.routing)
        except BerthError:
            for servable in found:
                if slot is None or servable not in slot.current.versions:
                    await servable.close()
            raise

    def _serve(self, name: str, following: Deployed, began: float, action: str) -> Slot:
        slot = self.slots.get(name)
        before = slot.current if slot else None
        if slot is None:
            slot = Slot(name, following)
            self.slots[name] = slot
        else:
            slot.switch(following)
            self.swaps += 1
        self.failures.pop(name, None)
        self._record(action, name, self._seconds(began), before=before, after=following)
        return slot

    async def _version(self, name: str, version: str, chosen: ModelSettings) -> Servable:
        """Load a version unless it serves already, unchanged."""
        folder = self._folder(name) / version
        own = settings_file.read(folder) if (folder / settings_file.FILE).exists() else chosen
        stamp = await asyncio.to_thread(_stamp, folder)
        slot = self.slots.get(name)
        kept = slot.current.named.get(version) if slot else None
        if kept and kept.is_ready and kept.described.get("stamp") == stamp and kept.settings == own:
            return kept
        leave = await asyncio.to_thread(self.admit, folder) if self.admit is not None else None
        found = await open_servable(
            name,
            version,
            folder,
            own,
            self.processes,
            is_starting=self.is_starting,
            leave=leave.digest if leave is not None else "",
        )
        found.described["stamp"] = stamp
        if leave is not None:
            found.described["pickle"] = leave.said
        return found

    def _folder(self, name: str) -> Path:
        """Return the folder of a model.

        Raises:
            NotFoundError: when there is none.
        """
        if self.folder is None or "/" in name or name.startswith(".") or not name:
            raise NotFoundError(f"the model repository has no model {name!r}")
        folder = self.folder / name
        if not _is_model(folder):
            raise NotFoundError(f"the model repository has no model {name!r}")
        return folder

    @staticmethod
    def _seconds(began: float) -> float:
        return time.perf_counter() - began

    def _record(
        self,
        action: str,
        name: str,
        seconds: float,
        *,
        before: Deployed | None = None,
        after: Deployed | None = None,
        error: str = "",
    ) -> None:
        """Append what happened to the audit log."""
        if self.audit is None:
            return
        entry: Mapping[str, object] = {
            "at": self.clock(),
            "action": action,
            "model": name,
            "before": _said(before),
            "after": _said(after),
            "seconds": round(seconds, 6),
            "error": error,
        }
        pickles = _pickles(after)
        if pickles:
            entry = {**entry, "pickles": pickles}
        append_line(self.audit, json.dumps(entry, sort_keys=True))


def _said(deployed: Deployed | None) -> dict[str, str]:
    """Return versions with their platforms, as the audit log keeps them."""
    if deployed is None:
        return {}
    return {each.version: each.runner.platform for each in deployed.versions}


def _pickles(deployed: Deployed | None) -> dict[str, object]:
    """Return by whose leave versions are pickles, as the audit log keeps it."""
    versions = deployed.versions if deployed is not None else ()
    return {v.version: v.described["pickle"] for v in versions if "pickle" in v.described}


def _is_model(path: Path) -> bool:
    """Say whether a folder holds versions of a model."""
    return path.is_dir() and not path.name.startswith(".") and bool(versions_in(path))


def versions_in(folder: Path) -> list[str]:
    """Return the versions in a model's folder, oldest first; numbers by size, before names."""
    found = [p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")]
    return sorted(
        found, key=lambda name: (not name.isdigit(), int(name) if name.isdigit() else 0, name)
    )


def _wanted(folder: Path, chosen: ModelSettings) -> list[str]:
    """Return the versions to serve: those that the settings name, else the newest.

    Raises:
        DamagedError: when one is missing.
    """
    there = versions_in(folder)
    if not chosen.versions:
        routed = chosen.routing.versions | ({chosen.default} - {""})
        return [name for name in there if name == there[-1] or name in routed]
    missing = [name for name in chosen.versions if name not in there]
    if missing:
        message = f"the settings name versions {missing}, {str(folder)!r} holds {there}"
        raise DamagedError(message, fix="add them, or correct `versions`")
    return list(chosen.versions)


def _stamp(folder: Path) -> str:
    """Return what changes when a file of a version does."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    stats = [(str(path.relative_to(folder)), path.stat()) for path in files]
    return json.dumps([(name, s.st_size, s.st_mtime_ns, s.st_ino) for name, s in stats])
