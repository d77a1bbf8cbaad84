"""Which surprises are told: one that is not clearly larger than those just told is a repetition."""

from __future__ import annotations


class Peaks:
    """Passes on a surprise unless it repeats what was passed on a short while ago.

    least: smaller surprises are none; quiet_values: values after one that was passed on in which
    another must be `rise` times as large.
    """

    __slots__ = ("_last", "_least", "_peak", "_quiet_values", "_rise", "_values")

    def __init__(self, *, least: float, quiet_values: int, rise: float) -> None:
        self._least = least
        self._quiet_values = quiet_values
        self._rise = rise
        self._values = 0
        self._last = -quiet_values - 1
        self._peak = 0.0

    def told(self, surprise: float) -> float:
        """Return the surprise of the next value if it is to be told, else 0."""
        self._values += 1
        if surprise < self._least:
            return 0.0
        if self._values - self._last <= self._quiet_values and surprise <= self._rise * self._peak:
            return 0.0
        self._last = self._values
        self._peak = surprise
        return surprise
