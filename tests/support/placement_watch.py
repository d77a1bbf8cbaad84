"""Somebody who looks on while a plan is searched for."""

from __future__ import annotations

from engine.model.plans import Incumbent


class Notes:
    """Remembers incumbents; asks for an end at once when it is in a hurry."""

    def __init__(self, *, hurried: bool = False) -> None:
        self.incumbents: list[Incumbent] = []
        self.hurried = hurried

    def found(self, incumbent: Incumbent) -> None:
        """Note a better plan."""
        self.incumbents.append(incumbent)

    def wants_end(self) -> bool:
        """Whether it is in a hurry."""
        return self.hurried
