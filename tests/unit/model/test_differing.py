"""Differences of configurations, and the labels that carry them."""

from __future__ import annotations

from engine.model import differing
from engine.model.differing import Difference
from engine.model.identifiers import TaskName
from engine.model.specs import TaskKind, TaskSpec
from engine.testing.samples import pipeline


def test_parameters_of_a_run_stand_over_those_of_its_pipeline() -> None:
    task = TaskSpec(name=TaskName("train"), kind=TaskKind.TRAIN, parameters={"rate": 0.1, "n": 3})
    found = differing.parameters(pipeline(task), {"train.rate": 0.5})
    assert found == {"train.rate": 0.5, "train.n": 3}
    assert differing.parameters(pipeline(task)) == {"train.rate": 0.1, "train.n": 3}


def test_labels_carry_differences_with_their_types() -> None:
    found = differing.differences(
        {"a.x": 1, "a.gone": "old", "a.same": True}, {"a.x": 2.5, "a.new": False, "a.same": True}
    )
    assert found == (
        Difference("a.gone", "old", None),
        Difference("a.new", None, False),
        Difference("a.x", 1, 2.5),
    )
    assert differing.read({"pipeline": "heart", **differing.labels(found)}) == found


def test_words_name_the_first_and_count_the_others() -> None:
    found = tuple(Difference(f"a.{name}", 1, 2) for name in "vwxyz")
    assert differing.words(found) == "a.v 1 → 2, a.w 1 → 2, a.x 1 → 2 and 2 more"
    assert differing.words(found[:1]) == "a.v 1 → 2"
    assert str(Difference("a.b", None, 1)) == "a.b not set → 1"
