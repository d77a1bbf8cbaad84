"""The watch loop that the tests of this folder step."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.watch_world import World, made_world


@pytest.fixture
def world() -> Iterator[World]:
    made = made_world()
    yield made
    made.ledger.close()
