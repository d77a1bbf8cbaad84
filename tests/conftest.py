"""What tests of several folders share: the story of `berth demo`."""

from collections.abc import Iterator

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from tests.support import story as stories

OF_THE_STORY = ("tests/browser/", "tests/integration/story/")


@pytest.fixture(scope="session")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[stories.Story]:
    """The story, told once in a session; its engine serves until the end of the session."""
    with stories.told(tmp_path_factory.mktemp("story")) as one:
        yield one


def pytest_itemcollected(item: pytest.Item) -> None:
    """Give tests of the story the time that telling it takes."""
    if "story" in getattr(item, "fixturenames", ()):
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
