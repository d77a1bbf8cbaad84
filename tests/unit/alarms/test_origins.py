"""Components are ranked by what is surprising, not by how much fires."""

from __future__ import annotations

import math

import pytest

from alarms.localization import origins
from alarms.localization.background import AlarmKey, Background, Past

PODS = ["web-0", "web-1", "db-0"]
CONTAINS = {"web": ["web-0", "web-1"], "db": ["db-0"]}


def keys(*names: str) -> frozenset[AlarmKey]:
    return frozenset(AlarmKey(*name.split("/")) for name in names)


def history(*events: frozenset[AlarmKey]) -> Background:
    return Background(Past(distance=float(n + 1), alarms=event) for n, event in enumerate(events))


def ranked(fired: frozenset[AlarmKey], background: Background) -> list[origins.Origin]:
    found = origins.candidates([*PODS, *CONTAINS], CONTAINS)
    return origins.rank(fired, background, found)


NOISE = history(*[keys("db-0/disk", "db-0/threads")] * 10, keys("web-0/cpu", "web-1/cpu"))


def test_a_rare_alarm_counts_more_than_many_usual_ones() -> None:
    first = ranked(keys("db-0/disk", "db-0/threads", "web-0/cpu"), NOISE)[0]
    assert first.candidate.entity == "web-0"
    assert "cpu on web-0" in first.evidence_for[0]


def test_all_parts_together_are_the_whole() -> None:
    first = ranked(keys("web-0/cpu", "web-1/cpu"), NOISE)[0]
    assert first.candidate.entity == "web"


def test_a_quiet_part_speaks_against_the_whole() -> None:
    found = ranked(keys("web-0/cpu"), NOISE)
    whole = next(one for one in found if one.candidate.entity == "web")
    assert "1 of 2 parts are quiet: web-1" in whole.evidence_against


def test_what_stayed_quiet_speaks_against_its_own() -> None:
    found = ranked(keys("web-0/cpu"), NOISE)
    quiet = next(one for one in found if one.candidate.entity == "db-0")
    assert quiet.evidence_against == ("2 of 2 alarms of db-0 stayed quiet",)
    assert quiet.weight < 0


def test_beliefs_sum_to_one_and_fall() -> None:
    beliefs = [one.belief for one in ranked(keys("web-0/cpu"), NOISE)]
    assert math.fsum(beliefs) == pytest.approx(1)
    assert beliefs == sorted(beliefs, reverse=True)


def test_of_equals_the_smallest_comes_first() -> None:
    found = ranked(frozenset(), history())
    assert [one.candidate.entity for one in found] == ["db-0", "web-0", "web-1", "db", "web"]


def test_without_candidates_there_is_nothing() -> None:
    assert origins.rank(keys("a/x"), history(), []) == []


def test_near_events_weigh_more_than_far_ones() -> None:
    near = history(keys("a/x"), *[frozenset[AlarmKey]()] * 20)
    far = history(*[frozenset[AlarmKey]()] * 20, keys("a/x"))
    assert near.rate(AlarmKey("a", "x")) > 2 * far.rate(AlarmKey("a", "x"))


def test_rates_stay_away_from_certainty() -> None:
    every = history(*[keys("a/x")] * 5_000)
    assert every.rate(AlarmKey("a", "x")) == pytest.approx(0.98)
    assert every.rate(AlarmKey("a", "y")) == pytest.approx(0.005)
