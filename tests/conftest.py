"""What tests of several folders share: the story of `berth demo`."""

from collections.abc import Iterator

import pytest

from tests.support import story as stories


@pytest.fixture(scope="session")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[stories.Story]:
    """The story, told once in a session; its engine serves until the end of the session."""
    with stories.told(tmp_path_factory.mktemp("story")) as one:
        yield one


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep all tests of the story on one worker, where it is told once, and give it its time."""
    for item in items:
        if "story" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("story"))
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.network)
            item.add_marker(pytest.mark.timeout(stories.LONGEST_SECONDS + 120.0))
