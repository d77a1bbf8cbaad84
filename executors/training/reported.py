"""A leak, and the one that small outputs of training tasks tell by themselves.

Without numpy: the task that compares models reads a few numbers, and its memory is that of Python.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Leak:
    """One leak: what happened, how many models or rows, and about how much too good it looks."""

    what: str
    count: int
    optimism: float = 0.0

    def __str__(self) -> str:
        """Return it as a sentence for people."""
        more = f"; the estimate is about {self.optimism:.3f} too high" if self.optimism else ""
        return f"{self.what}{more}"


def reported_on_test(models: Mapping[str, Mapping[str, object]]) -> Leak | None:
    """Return the leak of comparing models by a quality that each measured on held-out rows.

    models: small outputs of training tasks. One whose `quality` is exactly its `holdout_quality`,
    or that says `quality_on: holdout`, was judged by the rows that are to judge the choice.
    """
    leaking = sorted(
        name
        for name, outputs in models.items()
        if outputs.get("quality_on") == "holdout"
        or ("holdout_quality" in outputs and outputs.get("quality") == outputs["holdout_quality"])
    )
    if len(leaking) < 2:  # noqa: PLR2004 - one model is no choice
        return None
    what = f"{', '.join(leaking)} are compared by their scores on the held-out rows"
    return Leak(what=what, count=len(leaking))
