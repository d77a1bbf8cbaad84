"""What both readers share of loops: their values, and why one cannot be ours."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from engine.documents.turns_form import VALUES_MAX
from engine.model.specs import Scalar

MOST = 10
"""Values that a loop over what a task writes is taken to have; neither system says how many."""


@dataclass(frozen=True, slots=True)
class Over:
    """A loop over a list that a task writes: `parameter` takes its values."""

    parameter: str
    task: str
    output: str

    @property
    def said(self) -> str:
        """What differs from the loop of another system."""
        where = f"`{self.task}.{self.output}`"
        return f"the plan reserves for {MOST} values of {where}: change `most` if there are more"


def listed(value: object) -> list[object] | None:
    """Return the values of a loop, a list or the JSON of one; None when it is neither."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    return cast("list[object]", value) if isinstance(value, list) else None


def why_not(rows: Sequence[Mapping[str, Scalar]] | None, *, inner: bool) -> str:
    """Return why a loop cannot be one of ours; "" when it can.

    rows: the parameters of each turn, None where they are not known; inner: whether it stands in
    another loop.
    """
    if inner:
        return "a loop in a loop"
    if rows is None:
        return "its values are not known yet"
    if not rows or not all(rows):
        return "it has no values, or an empty one"
    if len(rows) > VALUES_MAX:
        return f"it has {len(rows)} values, more than {VALUES_MAX}"
    return ""
