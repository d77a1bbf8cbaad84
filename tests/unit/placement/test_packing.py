"""One pod at a time onto nodes with shared GPUs."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from engine.model.errors import ConflictError, InvalidInputError, NotFoundError
from placement.packing.histogram import COVERED_PERCENT, Histogram, fill_streams, typical_pods
from placement.packing.nodes import Binding, Node, PodNeverFitsError, PodShape
from placement.packing.packer import Packer
from placement.packing.policies import FillSettings, Policy
from placement.packing.windows import place_together
from tests.support import pods as make

HALF = make.shape(milli=500)
WHOLE = make.shape()


def test_two_halves_share_one_gpu() -> None:
    packer = make.packer([make.node("a")])
    bindings = [packer.place("one", HALF), packer.place("two", HALF)]
    assert bindings == [Binding(node="a", devices=(0,))] * 2
    assert packer.used_gpu_milli == 1000


@pytest.mark.parametrize("policy", Policy)
def test_a_pod_of_two_gpus_gets_two_idle_ones(policy: Policy) -> None:
    packer = make.packer([make.node("a", gpus=3)], policy)
    packer.place("one", make.shape(milli=300))
    binding = packer.place("two", make.shape(gpus=2))
    assert binding is not None
    assert not set(binding.devices) & set(packer.bindings["one"].devices)


def test_a_pod_without_room_now_is_not_placed() -> None:
    packer = make.packer([make.node("a", gpus=1)])
    packer.place("one", make.shape(milli=700))
    assert packer.place("two", HALF) is None
    assert packer.placed == 1


@pytest.mark.parametrize(
    "shape",
    [
        make.shape(gpus=3),
        make.shape(cpus=17),
        make.shape(models=("A100",)),
        PodShape(cpu_milli=0, memory_mib=65537, gpus=0),
    ],
)
def test_a_pod_that_never_fits_is_named_with_what_it_asks_for(shape: PodShape) -> None:
    packer = make.packer([make.node("a")])
    with pytest.raises(PodNeverFitsError, match=f"'big' fits on no node.*{shape.cpu_milli} milli"):
        packer.place("big", shape)


def test_a_node_takes_no_more_pods_than_it_may() -> None:
    packer = make.packer([dataclasses.replace(make.node("a"), pods_max=1)])
    assert packer.place("one", make.shape(milli=100))
    assert packer.place("two", make.shape(milli=100)) is None


def test_released_room_is_used_again() -> None:
    packer = make.packer([make.node("a", gpus=1)])
    packer.place("one", WHOLE)
    assert packer.release("one") == WHOLE
    assert packer.place("two", WHOLE) == Binding(node="a", devices=(0,))


def test_a_pod_is_moved_to_a_node_that_is_named() -> None:
    packer = make.packer([make.node("a"), make.node("b")])
    before = packer.place("one", HALF)
    assert before is not None
    other = "b" if before.node == "a" else "a"
    assert packer.move("one", other).node == other
    assert packer.moves == 1


def test_a_move_to_a_full_node_leaves_the_pod_where_it_is() -> None:
    packer = make.packer([make.node("a", gpus=1), make.node("b", gpus=1)])
    packer.place("one", WHOLE)
    packer.place("two", WHOLE)
    before = make.by_name(packer)
    packer.move("one", packer.bindings["two"].node)
    assert make.by_name(packer) == before
    assert packer.moves == 0


def test_names_that_are_unknown_or_taken_are_refused() -> None:
    packer = make.packer([make.node("a")])
    packer.place("one", HALF)
    with pytest.raises(ConflictError, match="'one' is placed already"):
        packer.place("one", HALF)
    with pytest.raises(NotFoundError, match="no pod 'two'"):
        packer.release("two")
    with pytest.raises(NotFoundError, match="no node 'z'"):
        packer.move("one", "z")


def test_all_faults_of_nodes_are_reported_at_once() -> None:
    bad = Node(name="a", cpu_milli=-1, memory_mib=0, gpus=33)
    with pytest.raises(InvalidInputError) as caught:
        make.packer([bad, make.node("a")])
    assert len(caught.value.faults) == 3
    with pytest.raises(InvalidInputError, match="no node"):
        make.packer([])


@pytest.mark.parametrize("change", [{"gpus": 0}, {"gpu_milli": 0}, {"gpu_milli": 1001}])
def test_a_shape_that_cannot_be_is_refused(change: dict[str, int]) -> None:
    with pytest.raises(InvalidInputError, match="'odd'"):
        make.packer([make.node("a")]).place("odd", dataclasses.replace(HALF, **change))


def test_the_fuller_of_two_gpus_takes_the_last_piece() -> None:
    packer = Packer(
        [make.node("a", gpus=1), make.node("b", gpus=1)],
        Histogram.of([WHOLE, make.shape(milli=700), make.shape(milli=300)]),
    )
    packer.place("large", make.shape(milli=700))
    packer.place("small", make.shape(milli=300))
    assert packer.bindings["small"] == packer.bindings["large"]


def test_a_pod_without_gpu_spares_the_node_whose_gpus_are_idle() -> None:
    packer = make.packer([make.node("idle"), make.node("busy")])
    packer.place("one", make.shape(gpus=2))
    taken = packer.bindings["one"].node
    binding = packer.place("two", make.shape(gpus=0, cpus=12))
    assert binding == Binding(node=taken, devices=())


def test_without_a_histogram_the_packer_learns_from_what_comes() -> None:
    packer = Packer([make.node("a"), make.node("b")], settings=make.QUICK)
    for number in range(4):
        assert packer.place(f"p{number}", HALF)
    assert packer.used_gpu_milli == 2000
    assert int((packer.room.devices_milli == 1000).sum()) == 2


def test_typical_pods_are_the_most_frequent_that_cover_95_percent() -> None:
    counts = {make.shape(milli=10 * n): n for n in range(1, 21)}
    typical = typical_pods(Histogram(counts=counts), {"T4": 0})
    total, kept = sum(counts.values()), len(typical.frequency)
    covered = sum(sorted(counts.values(), reverse=True)[:kept])
    assert covered >= COVERED_PERCENT / 100 * total > covered - min(20 - kept + 1, 20)
    assert typical.frequency.sum() == pytest.approx(1.0)
    assert list(typical.shapes.milli) == sorted(typical.shapes.milli, reverse=True)


def test_streams_hold_every_shape_in_its_share_largest_first() -> None:
    histogram = Histogram(counts={HALF: 3, WHOLE: 1})
    fill = fill_streams(histogram, {"T4": 0}, FillSettings(streams=4, length=8))
    assert np.bincount(fill.streams.ravel()).tolist() == [24, 8]
    assert all((np.diff(fill.shapes.milli[stream]) <= 0).all() for stream in fill.streams)


def test_in_a_window_the_largest_pods_come_first() -> None:
    packer = make.packer([make.node("a", gpus=2)])
    small, large = make.shape(milli=200), make.shape(gpus=2)
    assert place_together(packer.place, [("s", small), ("l", large)]) == [
        None,
        Binding(node="a", devices=(0, 1)),
    ]
