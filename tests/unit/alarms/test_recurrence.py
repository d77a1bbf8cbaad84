"""Events that go on: for how long, and what is remembered of them."""

from __future__ import annotations

from alarms.grouping.episodes import Episode, Unusual
from alarms.grouping.recurrence import Recurrences


def event(part: int, alerts: int = 2) -> Episode:
    """Return an event of two names at time 0, with one alarm."""
    episode = Episode(
        serial=part, group_id=f"SA-{part}", opened_at=0.0, newest_at=0.0, part=part, alerts=alerts
    )
    episode.unusual = Unusual(own_at=0.0, alarms={7}, names={"a", "b"})
    return episode


def test_the_louder_an_event_the_sooner_it_is_over() -> None:
    recurrences = Recurrences(gap_seconds=6.0)
    found = [event(0, alerts) for alerts in (1, 50, 500)]
    patience = [recurrences.patience_seconds(one, one.unusual) for one in found if one.unusual]
    assert patience == [30.0, 10.0, 1.0]


def test_only_its_own_alarms_find_an_event_and_only_in_time() -> None:
    recurrences = Recurrences(gap_seconds=6.0)
    recurrences.note(event(0))
    assert recurrences.find(0, 8, 20.0) is None
    assert recurrences.find(1, 7, 20.0) is None
    assert recurrences.find(0, 7, 31.0) is None
    found = recurrences.find(0, 7, 20.0)
    assert found is not None
    assert (found.episode.group_id, found.since) == ("SA-0", [])


def test_parts_where_nothing_was_opened_for_longest_are_forgotten() -> None:
    recurrences = Recurrences(gap_seconds=6.0, parts_most=2)
    for part in (0, 1, 0, 2):
        recurrences.note(event(part))
    assert [recurrences.find(part, 7, 20.0) is None for part in (0, 1, 2)] == [False, True, False]
