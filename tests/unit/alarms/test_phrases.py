"""Headlines are words of people on call, for every signal that Berth itself measures."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from alarms.detection.settings import COURSES, MEANINGS
from alarms.grouping import headlines
from alarms.grouping.phrases import WORDS, Side, happened, subject_in_words
from engine.model.alarms import Alarm
from engine.testing.watch_suites import alarm

LISTED = Path(__file__).parents[3] / "docs" / "reference" / "signals.md"


def said(signal: str, subject: str, *, statistic: float = 9.0, test: str = "level") -> Alarm:
    return dataclasses.replace(
        alarm("a", 1.0), signal=signal, subject=subject, statistic=statistic, test=test
    )


@pytest.mark.parametrize("signal", sorted({*MEANINGS, *COURSES}))
def test_every_signal_with_a_meaning_has_words(signal: str) -> None:
    assert signal in WORDS


def test_every_signal_that_the_reference_lists_and_that_alarms_has_words() -> None:
    rows = [row.split("|") for row in LISTED.read_text(encoding="utf-8").splitlines()]
    alarming = [row[1] for row in rows if len(row) == 8 and not row[6].strip().startswith("never")]
    names = {name for cell in alarming for name in re.findall(r"`([a-z_0-9]+)`", cell)}
    assert len(names) > 40
    assert names <= WORDS.keys()


@pytest.mark.parametrize("signal", sorted(WORDS))
@pytest.mark.parametrize("side", Side)
def test_each_side_names_the_subject_and_not_the_signal(signal: str, side: Side) -> None:
    text = WORDS[signal].of(side, "cluster eu-1")
    assert "cluster eu-1" in text
    assert "_" not in text
    assert "{" not in text


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (said("reachable", "cluster:x", statistic=-1.0), "cluster x cannot be reached"),
        (said("reachable", "cluster:x", test="silence"), "cluster x is not heard of any more"),
        (said("run_failed", "pipeline:heart"), "pipeline heart failed"),
        (
            said("feature_median", "feature:heart/chol", statistic=-4.0),
            "feature chol of heart is lower than in training",
        ),
        (said("node_not_ready", "node:eu-1/n3"), "node n3 of cluster eu-1 is not ready"),
        (said("queue_length", "service:shop"), "queue_length of service shop: high"),
    ],
)
def test_what_happened(found: Alarm, expected: str) -> None:
    assert happened(found) == expected


def test_a_subject_of_another_form_stays() -> None:
    assert subject_in_words("checkout") == "checkout"
    assert subject_in_words("pipeline:a/b") == "pipeline a/b"


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        ([], ""),
        (["task:heart/etl"], "; 1 task alarmed too"),
        (["gpu:m/0", "gpu:m/1"], "; 2 GPUs alarmed too"),
        (["cluster:y"], "; 1 other cluster alarmed too"),
        (["cluster:y", "cluster:z"], "; 2 other clusters alarmed too"),
        (["cluster:y", "task:heart/etl"], "; 2 others alarmed too"),
        (["checkout"], "; 1 other alarmed too"),
    ],
)
def test_a_headline_says_what_else_alarmed(others: list[str], expected: str) -> None:
    first = said("reachable", "cluster:x", statistic=-1.0)
    alarms = [first, *(dataclasses.replace(first, subject=each, at=9.0) for each in others)]
    assert headlines.title_of([*alarms, first]) == f"cluster x cannot be reached{expected}"


def test_alerts_of_others_keep_their_names() -> None:
    theirs = said("HighLoad", "pod:x", test="alert of alertmanager")
    assert headlines.title_of([theirs]) == "HighLoad: pod:x"
