"""Moving few placed pods so that another one fits."""

from __future__ import annotations

from fractions import Fraction

import pytest

from engine.model.errors import ConflictError, InvalidInputError
from placement.packing.histogram import Histogram
from placement.packing.nodes import Move, PodShape
from placement.packing.packer import Packer
from placement.packing.policies import Policy
from placement.packing.repacking import Repacker, RepackingSettings
from tests.support import pods as make

FREE = RepackingSettings(share=Fraction(1), worth_milli=-10_000.0)


def scattered() -> Packer:
    """Two nodes of one GPU, each with a piece of 300 milli."""
    packer = make.packer([make.node("a", gpus=1), make.node("b", gpus=1)])
    piece = make.shape(milli=300)
    packer.place("one", piece)
    packer.place("two", piece)
    packer.move("two", "b" if packer.bindings["one"].node == "a" else "a")
    packer.moves = 0
    return packer


def test_a_piece_makes_way_for_a_pod_that_needs_a_whole_gpu() -> None:
    repacker = Repacker(scattered(), FREE)
    for number in range(2):
        repacker.place(f"idle{number}", make.shape(gpus=0))
    binding = repacker.place("whole", make.shape())
    assert binding is not None
    assert repacker.packer.moves == 1
    assert repacker.packer.used_gpu_milli == 1600


def test_no_move_is_made_beyond_the_allowance() -> None:
    repacker = Repacker(scattered(), RepackingSettings(share=Fraction(0), worth_milli=-10_000.0))
    assert repacker.place("whole", make.shape()) is None
    assert repacker.packer.moves == 0


def test_no_move_is_made_that_gains_too_little() -> None:
    repacker = Repacker(scattered(), RepackingSettings(share=Fraction(1), worth_milli=10_000.0))
    repacker.place("idle", make.shape(gpus=0))
    assert repacker.place("whole", make.shape()) is None


def test_a_pod_that_no_single_move_helps_is_not_placed() -> None:
    packer = make.packer([make.node("a", gpus=1)])
    packer.place("one", make.shape())
    assert Repacker(packer, FREE).packer.room_making_move(make.shape(milli=300)) is None


def test_a_pod_may_wait_where_its_room_is_worth_more() -> None:
    settings = RepackingSettings(waits=True, waiting_milli=-10_000.0, busy_share=0.0)
    repacker = Repacker(make.packer([make.node("a", gpus=1)]), settings)
    assert repacker.place("one", make.shape(milli=700)) is None
    assert repacker.waiting == {"one": make.shape(milli=700)}
    assert repacker.place("two", make.shape(gpus=0)) is not None


def test_no_pod_waits_while_gpus_are_idle_enough() -> None:
    settings = RepackingSettings(waits=True, waiting_milli=-10_000.0, busy_share=0.5)
    repacker = Repacker(make.packer([make.node("a", gpus=2)]), settings)
    assert repacker.place("one", make.shape()) is not None
    assert repacker.place("two", make.shape()) is None


def test_who_waits_is_placed_in_the_end_as_far_as_there_is_room() -> None:
    settings = RepackingSettings(waits=True, waiting_milli=-10_000.0, busy_share=0.0)
    repacker = Repacker(make.packer([make.node("a", gpus=1)]), settings)
    for pod, milli in (("small", 300), ("large", 700), ("middle", 500)):
        assert repacker.place(pod, make.shape(milli=milli)) is None
    assert list(repacker.place_waiting()) == ["small", "large"]
    assert list(repacker.waiting) == ["middle"]
    assert repacker.place_waiting() == {}


def test_a_name_is_refused_that_stands_or_waits() -> None:
    settings = RepackingSettings(waits=True, waiting_milli=-10_000.0, busy_share=0.5)
    repacker = Repacker(make.packer([make.node("a", gpus=2)]), settings)
    repacker.place("stands", make.shape())
    repacker.place("waits", make.shape(milli=300))
    for pod in ("stands", "waits"):
        with pytest.raises(ConflictError, match=pod):
            repacker.place(pod, make.shape(milli=700))
    assert repacker.waiting == {"waits": make.shape(milli=300)}
    assert list(repacker.place_waiting()) == ["waits"]


def test_a_pod_that_cannot_be_does_not_wait() -> None:
    settings = RepackingSettings(waits=True, waiting_milli=-10_000.0, busy_share=0.0)
    repacker = Repacker(make.packer([make.node("a", gpus=2)]), settings)
    with pytest.raises(InvalidInputError):
        repacker.place("odd", make.shape(milli=1300))
    assert repacker.waiting == {}


class Counting(Packer):
    """Counts how often a move was looked for."""

    searches = 0

    def room_making_move(self, shape: PodShape) -> Move | None:
        self.searches += 1
        return super().room_making_move(shape)


def test_a_shape_that_no_move_helped_is_tried_again_only_after_changes() -> None:
    packer = Counting([make.node("a", gpus=1)], Histogram.of(make.SHAPES), settings=make.QUICK)
    settings = RepackingSettings(share=Fraction(5), worth_milli=-10_000.0, pause=2)
    repacker = Repacker(packer, settings)
    repacker.place("one", make.shape())
    for number in range(3):
        assert repacker.place(f"no{number}", make.shape()) is None
    assert packer.searches == 1
    repacker.place("cpu0", make.shape(gpus=0))
    repacker.place("cpu1", make.shape(gpus=0))
    repacker.place("no3", make.shape())
    assert packer.searches == 2


def test_repacking_needs_scores_in_gpu_and_a_share() -> None:
    packer = make.packer([make.node("a")], Policy.BEST_FIT)
    with pytest.raises(InvalidInputError, match="BEST_FIT") as caught:
        Repacker(packer, RepackingSettings(share=Fraction(-1)))
    assert len(caught.value.faults) == 2
