"""Which model served when."""

from __future__ import annotations

import dataclasses
import math

from engine.model.dispatches import Deployment
from engine.model.identifiers import Digest, PipelineName, RunId, TaskName
from engine.model.tenures import KEPT, Tenure

NEW = Deployment(
    pipeline=PipelineName("heart"),
    task=TaskName("serve"),
    run_id=RunId("r-1"),
    wanted=Digest("a"),
)


def swapped(*names: str, start: Deployment = NEW) -> Deployment:
    """Return a deployment that swapped a second apart."""
    for at, name in enumerate(names, start=1):
        start = start.swapped(Digest(name), float(at))
    return start


def tenure(name: str, since: float, until: float | None = None) -> Tenure:
    return Tenure(digest=Digest(name), since=since, until=until)


def test_a_tenure_ends_where_the_next_begins() -> None:
    found = swapped("a", "b")
    assert found.served == (tenure("a", 1.0, 2.0), tenure("b", 2.0))
    assert (found.serving, found.previous, found.swapped_at, found.swaps) == ("b", "a", 2.0, 2)
    assert found.former == (tenure("a", 1.0, 2.0),)


def test_a_model_that_starts_again_goes_on() -> None:
    found = swapped("a", "b", "b")
    assert found.served[-1] == tenure("b", 2.0)
    assert (found.previous, found.swapped_at, found.swaps) == ("a", 3.0, 3)


def test_a_model_that_was_gone_back_to_is_not_before_itself() -> None:
    assert swapped("a", "b", "a").former == (tenure("b", 2.0, 3.0),)


def test_only_the_newest_are_remembered() -> None:
    found = swapped(*(f"m{number}" for number in range(KEPT + 3)))
    assert len(found.served) == KEPT
    assert found.served[-1].digest == f"m{KEPT + 2}"


def test_what_is_wanted_and_serves_not_yet_has_all_before_it() -> None:
    down = dataclasses.replace(swapped("a"), serving=None, wanted=Digest("b"))
    assert down.former == (tenure("a", 1.0),)


class TestWithoutARecord:
    OLD = dataclasses.replace(
        NEW, serving=Digest("a"), wanted=Digest("a"), previous=Digest("z"), swapped_at=0.5
    )

    def test_the_model_before_is_known_without_its_begin(self) -> None:
        assert self.OLD.former == (tenure("z", -math.inf, 0.5),)
        assert NEW.former == ()

    def test_it_begins_with_what_serves(self) -> None:
        found = swapped("b", start=self.OLD)
        assert found.served == (tenure("a", 0.5, 1.0), tenure("b", 1.0))
