"""How shims are started and known: as processes of this machine, or in containers."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from engine.model.dispatches import AttemptOrder


class Starter(Protocol):
    """What the local executor asks of whoever starts its shims.

    Once a shim has claimed its attempt, it is known by the claim alone.
    """

    @property
    def python(self) -> str:
        """The interpreter that runs built-in commands."""
        ...

    def owns(self, folder: Path) -> bool:
        """Whether an attempt was started this way."""
        ...

    def prepare(self, folder: Path, order: AttemptOrder) -> None:
        """Add what starting needs to a folder that has no name yet."""
        ...

    def spawn(self, order: AttemptOrder, folder: Path) -> None:
        """Start a shim; when that fails, nothing runs."""
        ...

    def has(self, attempt: str) -> bool:
        """Whether a shim runs that may still claim its attempt."""
        ...

    def count(self, attempt: str) -> int:
        """Return how many shims were started here for an attempt."""
        ...

    def kill(self, folder: Path) -> None:
        """End whatever lives of an attempt whose shim is gone."""
        ...

    def clear(self, folder: Path) -> None:
        """Remove what outlives an attempt that is over."""
        ...
