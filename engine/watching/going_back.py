"""Which model a roll-back goes to: the newest that served while what alarms was better. Pure.

The model before is not always the one: where two deployments came shortly after one another, the
fault may be of the earlier, or the second may have come when people were alarmed already.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from engine.model.signals import Signal
from engine.model.tenures import Tenure
from engine.watching import lasting


@dataclass(frozen=True, slots=True)
class Trouble:
    """What alarms of a model that serves: recent values of a series, oldest first, and its side."""

    values: Sequence[Signal]
    is_high: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A model to go back to.

    is_better: whether values were better under it than the newest are; True as well where too
    little is known of every model, so that the alarms decide alone.
    """

    tenure: Tenure
    is_better: bool


def choice(
    former: Sequence[Tenure],
    troubles: Sequence[Trouble],
    began_at: float,
    left: Collection[object],
) -> Choice | None:
    """Return the model to go back to, or None where there is none.

    former: models that served before the present one, newest first. began_at: of the first alarm;
    what a model served after that does not speak for it. left: digests that roll-backs left
    before: what came before such a one was judged then.
    """
    open_to: list[Tenure] = []
    for tenure in former:
        if tenure.digest in left:
            break
        open_to.append(tenure)
    if not open_to:
        return None
    found = [(tenure, _was_better(tenure, troubles, began_at)) for tenure in open_to]
    good = next((tenure for tenure, is_better in found if is_better), None)
    if good is not None:
        return Choice(tenure=good, is_better=True)
    return Choice(tenure=open_to[0], is_better=all(is_better is None for _, is_better in found))


def _was_better(tenure: Tenure, troubles: Sequence[Trouble], began_at: float) -> bool | None:
    """Return whether any series was better under a model; None where too little is known."""
    if tenure.until is None:
        return None
    until = min(tenure.until, began_at)
    found: list[bool] = []
    for one in troubles:
        under = [value for value in one.values if tenure.since <= value.at < until]
        newest = [value for value in one.values if value.at >= tenure.until]
        is_worse = lasting.lasts([*under, *newest], tenure.until, is_high=one.is_high)
        if is_worse is not None:
            found.append(is_worse)
    return any(found) if found else None
