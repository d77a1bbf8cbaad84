"""A training's memory is what an allocator takes for its tensors, moment by moment."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from engine.model.networks import Layer
from forecasting.profiles.allocator import MIB, Block, CachingAllocator
from forecasting.profiles.replay import taken_mib


def taken(sizes_mib: list[float]) -> float:
    allocator = CachingAllocator()
    for size in sizes_mib:
        allocator.take(int(size * MIB))
    return allocator.taken / MIB


@pytest.mark.parametrize(
    ("sizes_mib", "expected_mib"),
    [
        ([0.0001], 2.0),
        ([0.5] * 4, 2.0),
        ([0.5] * 5, 4.0),
        ([6.0] * 3, 20.0),
        ([6.0] * 4, 40.0),
        ([10.0], 10.0),
        ([11.0], 12.0),
        ([8.0, 0.5], 22.0),
    ],
)
def test_sizes_come_from_segments_of_their_class(
    sizes_mib: list[float], expected_mib: float
) -> None:
    assert taken(sizes_mib) == expected_mib


def test_neighbours_that_are_free_serve_a_larger_tensor() -> None:
    allocator = CachingAllocator()
    blocks = [allocator.take(6 * MIB) for _ in range(3)]
    for place in (0, 2, 1):
        allocator.give_back(blocks[place])
    allocator.take(18 * MIB)
    assert allocator.taken == 20 * MIB


def test_a_gap_between_tensors_does_not_serve_a_larger_one() -> None:
    allocator = CachingAllocator()
    first, _, last = (allocator.take(6 * MIB) for _ in range(3))
    allocator.give_back(first)
    allocator.give_back(last)
    allocator.take(9 * MIB)
    assert allocator.taken == 40 * MIB


def test_a_small_rest_of_a_large_block_is_not_handed_out() -> None:
    allocator = CachingAllocator()
    block = allocator.take(12 * MIB)
    allocator.give_back(block)
    assert allocator.take(11 * MIB + 512) is block
    assert block.size == 12 * MIB


def test_no_byte_is_lost_or_handed_out_twice() -> None:
    random = np.random.default_rng(1)
    allocator = CachingAllocator()
    live: list[tuple[Block, int]] = []
    for _ in range(2_000):
        if live and random.random() < 0.5:
            allocator.give_back(live.pop(int(random.integers(len(live))))[0])
        else:
            size = int(10 ** random.uniform(1.0, 7.5))
            live.append((allocator.take(size), size))
        assert all(block.size >= size for block, size in live)
    stretches = sorted((b.place[0], b.place[1], b.place[1] + b.size) for b, _ in live)
    for before, after in itertools.pairwise(stretches):
        assert before[0] < after[0] or before[2] <= after[1]
    for block, _ in live:
        allocator.give_back(block)
    whole = allocator.taken
    for _ in range(whole // (20 * MIB)):
        allocator.take(300)
    assert allocator.taken == whole


def linear(inputs: int, outputs: int) -> Layer:
    return Layer(kind="linear", activations=outputs, parameters=inputs * outputs + outputs)


def test_a_tiny_network_takes_the_workspaces_and_one_page() -> None:
    layers = [linear(8, 4), Layer(kind="ReLU", activations=4, parameters=0), linear(4, 2)]
    assert taken_mib(layers, inputs=8, batch_size=16) == 22.0


def test_parameters_stand_five_times_while_a_step_is_made() -> None:
    taken_once = taken_mib([linear(4_096, 4_096)], inputs=4_096, batch_size=1)
    assert 5 * 64.0 + 20.0 <= taken_once <= 5 * 64.0 + 24.0


@pytest.mark.parametrize(
    ("kind", "copies"), [("ReLU", 1), ("GELU", 2), ("Identity", 1), ("dropout", 1.25)]
)
def test_what_a_layer_keeps_depends_on_its_kind(kind: str, copies: float) -> None:
    """Most is taken when all outputs are kept, beside the parameters and their two moments."""
    one_mib = 16.0
    width = 1_024
    batch = int(one_mib * MIB / 4 / width)
    pair = [linear(width, width), Layer(kind=kind, activations=width, parameters=0)]
    few = taken_mib(pair * 4, inputs=width, batch_size=batch)
    many = taken_mib(pair * 20, inputs=width, batch_size=batch)
    parameters_mib = 4.0
    expected = 16 * (one_mib * copies + 3 * parameters_mib)
    assert many - few == pytest.approx(expected, rel=0.1)


def test_the_last_batch_is_what_is_left_of_the_samples() -> None:
    layers = [linear(2_000, 1_000), linear(1_000, 500)]
    whole = taken_mib(layers, inputs=2_000, batch_size=1_000)
    assert taken_mib(layers, inputs=2_000, batch_size=1_000, samples=8_000) == whole
    few = taken_mib(layers, inputs=2_000, batch_size=1_000, samples=200)
    assert few == taken_mib(layers, inputs=2_000, batch_size=200)


@pytest.mark.parametrize("kind", ["batch_normalization", "PReLU", "dropout", "Softmax"])
def test_each_kind_of_layer_gives_back_what_it_held(kind: str) -> None:
    """More epochs take no more than one: nothing is left behind."""
    layers = [
        linear(3_000, 2_000),
        Layer(kind=kind, activations=2_000, parameters=4_000 * (kind == "batch_normalization")),
        linear(2_000, 100),
    ]
    assert taken_mib(layers, inputs=3_000, batch_size=700, samples=1_400) == pytest.approx(
        taken_mib(layers, inputs=3_000, batch_size=700, samples=70_000), abs=0.0
    )


def test_a_network_that_learns_nothing_takes_its_activations_only() -> None:
    layers = [Layer(kind="ReLU", activations=10, parameters=0)]
    assert taken_mib(layers, inputs=10, batch_size=4) == 2.0
