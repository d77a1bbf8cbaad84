"""A small world for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from engine.testing.world import World


@pytest.fixture
def world() -> Iterator[World]:
    """A world with the clusters `a` and `b`, in which every task succeeds at once."""
    world = World()
    yield world
    world.close()
