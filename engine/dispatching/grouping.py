"""Steps that do not depend on each other, written in one commit: what a commit costs is shared.

What is durable when does not change: an intent is stored before its executor is called, an outcome
after it. When somebody else wrote one of the records first, each step is written alone, so that
only that one waits for the next step of the loop.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from engine.dispatching.desk import Desk
from engine.model.records import Write

STEPS_MOST = 256
"""Steps of one commit; so many are repeated one by one when one of them meets another writer."""


@dataclass(frozen=True, slots=True)
class _Step:
    name: str
    writes: tuple[Write, ...]
    done: Callable[[], None]


class Group:
    """Collects steps and writes them together; `flush` writes what is left."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._steps: list[_Step] = []
        self.changed = False
        """Whether anything was written."""

    def add(self, name: str, *writes: Write, done: Callable[[], None] = lambda: None) -> None:
        """Take a step in; `done` is called once it is stored.

        Raises:
            RefusedError: when a newer engine took over.
        """
        self._steps.append(_Step(name, writes, done))
        if len(self._steps) >= STEPS_MOST:
            self.flush()

    def __len__(self) -> int:
        """How many steps are not written yet."""
        return len(self._steps)

    def flush(self) -> None:
        """Write all steps; errors as `add`."""
        steps, self._steps = self._steps, []
        if not steps:
            return
        first, others = steps[0], len(steps) - 1
        name = f"{first.name}+{others}" if others else first.name
        stored = steps if self._commit(name, *steps) else []
        if not stored and others:
            stored = [step for step in steps if self._commit(step.name, step)]
        for step in stored:
            step.done()

    def _commit(self, name: str, *steps: _Step) -> bool:
        stored = self._desk.commit(name, *(write for step in steps for write in step.writes))
        self.changed |= stored
        return stored
