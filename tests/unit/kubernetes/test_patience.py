"""An attempt whose start meets conflicts waits longer each time, and no other waits for it."""

from __future__ import annotations

from engine.model.errors import ConflictError, UnreachableError
from executors.kubernetes.patience import LAST_SECONDS, Patience


class Watch:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def pauses(patience: Patience, watch: Watch, count: int) -> list[float]:
    found = []
    for _ in range(count):
        patience.note("r-1.a.1", ConflictError("someone else wrote"))
        began = watch.now
        while not patience.allows("r-1.a.1"):
            watch.now += 0.25
        found.append(watch.now - began)
    return found


def test_pauses_double_up_to_a_limit() -> None:
    watch = Watch()
    found = pauses(Patience(watch), watch, 7)
    assert found[:5] == [0.5, 1.0, 2.0, 4.0, 8.0]
    assert found[5:] == [LAST_SECONDS, LAST_SECONDS]


def test_an_attempt_waits_for_itself_alone() -> None:
    patience = Patience(Watch())
    patience.note("r-1.a.1", ConflictError("someone else wrote"))
    assert not patience.allows("r-1.a.1")
    assert patience.allows("r-1.b.1")


def test_anything_but_a_conflict_is_tried_at_once() -> None:
    watch = Watch()
    patience = Patience(watch)
    pauses(patience, watch, 4)
    patience.note("r-1.a.1", ConflictError("someone else wrote"))
    patience.note("r-1.a.1", UnreachableError("left alone"))
    assert patience.allows("r-1.a.1")
    assert pauses(patience, watch, 1) == [0.5]
