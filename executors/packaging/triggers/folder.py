"""A watched folder: who has no git host puts a model's files into it, and they are pushed.

FOLDER/NAME/model.toml ...    a model's working folder; pushed when its files rest
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from executors.packaging import images
from executors.packaging.repository import settings

_FILES_MAX = 10_000


@dataclass(slots=True)
class Watched:
    """Knows which models of a folder changed and have come to rest.

    folder: the folder; settle_seconds: how long files must not have changed.
    """

    folder: Path
    settle_seconds: float = 2.0
    _seen: dict[str, tuple[str, float]] = field(default_factory=dict)
    _told: dict[str, str] = field(default_factory=dict)

    def ready(self, now: float) -> tuple[Path, ...]:
        """Return the folders whose files changed and then rested; each change is told once.

        now: seconds of any clock that does not go back.
        """
        found = []
        for path in sorted(self.folder.glob(f"*/{settings.FILE}")):
            model = path.parent
            state = _state(model)
            known, since = self._seen.get(model.name, ("", now))
            if state != known:
                self._seen[model.name] = (state, now)
                since = now
            if now - since >= self.settle_seconds and self._told.get(model.name) != state:
                self._told[model.name] = state
                found.append(model)
        return tuple(found)


def _state(folder: Path) -> str:
    """Return a digest of names, sizes and times of the files, those of git left out."""
    entries = []
    for path in sorted(folder.rglob("*"))[:_FILES_MAX]:
        if path.is_file() and ".git" not in path.relative_to(folder).parts:
            status = path.stat()
            name = path.relative_to(folder).as_posix()
            entries.append([name, status.st_size, status.st_mtime_ns])
    return images.digest_of(images.canonical(entries))
