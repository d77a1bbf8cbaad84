"""The story of `berth demo`, told once for all tests of this folder."""

from collections.abc import Iterator

import pytest

from tests.support import story as stories


@pytest.fixture(scope="package")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[stories.Story]:
    """The story; its engine serves until the first test that does not need it."""
    with stories.told(tmp_path_factory.mktemp("story")) as one:
        yield one
