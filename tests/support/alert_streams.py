"""Alerts for tests of the streaming grouper, and where its changes leave them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from alarms.grouping.alert import Alert
from alarms.grouping.episodes import Change, Reason, Step


def firing(
    name: str, at: float, entity: str = "a", *related: str, number: int = 0, **labels: str
) -> Alert:
    """Return one firing; its id follows from everything given."""
    return Alert(
        alert_id=f"{name}/{entity}/{at}/{number}",
        at=at,
        name=name,
        entity=entity,
        related=related,
        labels=labels,
    )


def groups(changes: Iterable[Change]) -> Mapping[str, str]:
    """Return the group of every alert after all changes, from the definition of a change."""
    group_of: dict[str, str] = {}
    for change in changes:
        if change.step is Step.MERGED:
            group_of = {
                alert: change.group_id if group == change.other_id else group
                for alert, group in group_of.items()
            }
        elif change.reason is not Reason.SENT_AGAIN:
            group_of |= dict.fromkeys(change.alert_ids, change.group_id)
    return group_of


def partition(changes: Iterable[Change]) -> set[frozenset[str]]:
    """Return which alerts stand together, without the names of groups."""
    members: dict[str, set[str]] = {}
    for alert, group in groups(changes).items():
        members.setdefault(group, set()).add(alert)
    return {frozenset(found) for found in members.values()}
