"""Random pods onto random nodes, against a slow check written from the definition."""

from __future__ import annotations

import dataclasses
import random
from fractions import Fraction

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.placement._packing_check import violations
from placement.packing.nodes import Binding, Node, PodNeverFitsError, PodShape
from placement.packing.packer import Packer
from placement.packing.policies import Policy
from placement.packing.repacking import Repacker, RepackingSettings
from tests.support import pods as make

SEEDS = st.integers(min_value=0, max_value=10**6)
CALM = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
STEPS = 40


def worked(given: list[Node], seed: int, policy: Policy) -> tuple[Packer, dict[str, PodShape]]:
    """A packer after random placing, releasing and moving, with the shapes that came."""
    chance = random.Random(seed)
    packer, came = make.packer(given, policy), dict[str, PodShape]()
    for step in range(STEPS):
        deed = chance.random()
        if packer.placed and deed < 0.2:
            packer.release(chance.choice(list(packer.bindings)))
        elif packer.placed and deed < 0.3:
            packer.move(chance.choice(list(packer.bindings)))
        else:
            came[f"p{step}"] = chance.choice(make.SHAPES)
            try:
                packer.place(f"p{step}", came[f"p{step}"])
            except PodNeverFitsError:
                continue
    return packer, came


@pytest.mark.parametrize("policy", Policy)
@CALM
@given(seed=SEEDS)
def test_no_packing_breaks_a_limit(policy: Policy, seed: int) -> None:
    packer, came = worked(make.nodes(random.Random(seed)), seed, policy)
    assert violations(packer.nodes, came, packer.bindings) == []
    used = sum(came[pod].total_gpu_milli for pod in packer.bindings)
    assert packer.used_gpu_milli == used


@CALM
@given(seed=SEEDS)
def test_releasing_everything_leaves_the_nodes_as_they_were(seed: int) -> None:
    nodes = make.nodes(random.Random(seed))
    packer, _ = worked(nodes, seed, Policy.FILL)
    for pod in list(packer.bindings):
        packer.release(pod)
    assert make.room(packer) == make.room(make.packer(nodes))


@CALM
@given(seed=SEEDS)
def test_a_pod_is_left_out_only_where_no_node_has_room(seed: int) -> None:
    nodes = make.nodes(random.Random(seed))
    packer, came = worked(nodes, seed, Policy.FILL)
    for shape in make.SHAPES:
        try:
            binding = packer.place("last", shape)
        except PodNeverFitsError:
            continue
        if binding is None:
            for node in nodes:
                for device in range(node.gpus - shape.gpus + 1):
                    devices = tuple(range(device, device + shape.gpus))
                    tried = {**packer.bindings, "last": Binding(node=node.name, devices=devices)}
                    assert violations(nodes, {**came, "last": shape}, tried)
        else:
            packer.release("last")


@CALM
@given(seed=SEEDS, percent=st.integers(min_value=0, max_value=50))
def test_moves_never_exceed_their_share(seed: int, percent: int) -> None:
    chance = random.Random(seed)
    packer = make.packer(make.nodes(chance, 6))
    share = Fraction(percent, 100)
    repacker = Repacker(packer, RepackingSettings(share=share, worth_milli=-10_000.0))
    came = {f"p{number}": chance.choice(make.SHAPES) for number in range(STEPS)}
    placed = 0
    for pod, shape in came.items():
        try:
            placed += repacker.place(pod, shape) is not None
        except PodNeverFitsError:
            continue
        assert packer.moves <= share * placed
    assert violations(packer.nodes, came, packer.bindings) == []


@CALM
@given(seed=SEEDS)
def test_renaming_nodes_changes_nothing_else(seed: int) -> None:
    nodes = make.nodes(random.Random(seed))
    renamed = [dataclasses.replace(node, name=f"z-{node.name}") for node in reversed(nodes)][::-1]
    one, _ = worked(nodes, seed, Policy.FILL)
    other, _ = worked(renamed, seed, Policy.FILL)
    assert {pod: f"z-{b.node}" for pod, b in one.bindings.items()} == {
        pod: b.node for pod, b in other.bindings.items()
    }
    assert make.room(one) == make.room(other)
