"""Spaces of hyper-parameters, written as text or given as values.

    lr=0.001..1 log      a number between, on a logarithmic scale
    hidden=32..256       a whole number between, both included
    layers=16|64|256     one of these

A range of whole numbers gives whole numbers, any other real ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from engine.model.errors import Fault, InvalidInputError
from executors.training.trials.trial import Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Numbers from `low` to `high`, both included; `whole` for whole numbers only."""

    low: float
    high: float
    logarithmic: bool = False
    whole: bool = False

    def at(self, share: float) -> Value:
        """Return the value at a share in [0, 1) of the range."""
        low, high = self.low, self.high
        if self.whole:
            high += 1
        if self.logarithmic:
            value = math.exp(math.log(low) + share * (math.log(high) - math.log(low)))
        else:
            value = low + share * (high - low)
        return min(int(value), int(self.high)) if self.whole else value


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One of several values."""

    values: tuple[Value, ...]

    def at(self, share: float) -> Value:
        """Return the value at a share in [0, 1)."""
        return self.values[int(share * len(self.values))]


Space = Mapping[str, Range | Choice]


def draw(space: Space, generator: np.random.Generator) -> dict[str, Value]:
    """Return one configuration, each parameter drawn by itself."""
    return {name: part.at(float(generator.random())) for name, part in space.items()}


def parse(texts: Sequence[str]) -> dict[str, Range | Choice]:
    """Read a space from texts `NAME=RANGE`.

    >>> parse(["lr=0.001..1 log", "hidden=32|64"])["hidden"].at(0.6)
    64

    Raises:
        InvalidInputError: names every text that is not understood.
    """
    space: dict[str, Range | Choice] = {}
    faults: list[str] = []
    for text in texts:
        name, _, given = text.partition("=")
        part = _part(given.strip())
        if not name.strip() or part is None or name.strip() in space:
            faults.append(text)
        else:
            space[name.strip()] = part
    if faults or not space:
        said = ", ".join(repr(text) for text in faults) or "nothing"
        fix = "write each name once, as `lr=0.001..1 log`, `hidden=32..256` or `layers=16|64`"
        raise InvalidInputError("space", [Fault(code="S004", message=f"holds {said}", fix=fix)])
    return space


def _part(text: str) -> Range | Choice | None:
    """Return a range or a choice; None when it is neither."""
    if ".." not in text:
        values = tuple(_value(word.strip()) for word in text.split("|"))
        return Choice(values=values) if "" not in values else None
    bounds, _, scale = text.partition(" ")
    first, _, last = bounds.partition("..")
    low, high = _value(first), _value(last)
    if isinstance(low, str) or isinstance(high, str) or scale.strip() not in {"", "log"}:
        return None
    logarithmic = bool(scale.strip())
    if not low <= high or (logarithmic and low <= 0) or not math.isfinite(high - low):
        return None
    whole = isinstance(low, int) and isinstance(high, int)
    return Range(low=low, high=high, logarithmic=logarithmic, whole=whole)


def _value(word: str) -> Value:
    for kind in (int, float):
        try:
            return kind(word)
        except ValueError:
            continue
    return word
