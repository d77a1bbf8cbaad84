"""How tests are drawn, and given to the processes that run them."""

import hypothesis
import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from tests.support import story as stories

# How long an example takes says nothing about it on a machine that does other work as well.
hypothesis.settings.register_profile(
    "berth", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("berth")

OF_THE_STORY = "tests/story/"
NOT_COUNTED = ("tests/property/", "tests/repository/", OF_THE_STORY)
"""Tests that repeat what others test in earnest: counting lines only makes them slower."""


def pytest_itemcollected(item: pytest.Item) -> None:
    """Count lines where that tells something; give the story the time that telling it takes."""
    if item.nodeid.startswith(NOT_COUNTED):
        item.add_marker(pytest.mark.no_cover)
    if "told" in getattr(item, "fixturenames", ()):
        item.add_marker(pytest.mark.slow)
        item.add_marker(pytest.mark.network)
        item.add_marker(pytest.mark.timeout(stories.LONGEST_SECONDS + 120.0))


class Scheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Keeps each file on one worker, and all tests of the story, so that it is told once."""

    def _split_scope(self, nodeid: str) -> str:
        return "story" if nodeid.startswith(OF_THE_STORY) else nodeid.partition("::")[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling:
    """Give each worker whole files."""
    return Scheduling(config, log)
