"""How tests are drawn, and given to the processes that run them."""

import gc
import os
from collections.abc import Generator, Iterator

import hypothesis
import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from engine.store import schema
from tests.support import fresh_databases
from tests.support import story as stories
from tests.support.clusters.running import RUNNING

EXAMPLES = 100 if os.environ.get("CI") else 30
"""Of each property that does not ask for its own number; `scripts/test` names the difference."""

# How long an example takes says nothing about it on a machine that does other work as well.
hypothesis.settings.register_profile(
    "berth",
    deadline=None,
    max_examples=EXAMPLES,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("berth")

OF_THE_STORY = "tests/story/"
# One of each for all the tests of a process: a fixture that modules import is one a module.
pytest_plugins = (
    "tests.support.clusters.fixtures",
    "tests.support.clusters.real_node",
    "tests.support.containers",
)

CLUSTERS_OF_THEIR_OWN = ("test_faults.py", "test_multikueue.py", "test_demo.py")
CONTROL_PLANE, REAL_NODE = WITH_CLUSTERS = ("control plane", "real node")
COMPILES = ("placement", "openb", "roadef", "reassign")
"""Tests that may be the first of a fresh clone to need compiled loops, at times in every worker."""
COMPILING_SECONDS = 600.0


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Have the garbage collector never look at what collecting brings: it stays to the end."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_itemcollected(item: pytest.Item) -> None:
    """Give tests of the story the time that telling it takes."""
    if "told" in getattr(item, "fixturenames", ()):
        item.add_marker(pytest.mark.slow)
        item.add_marker(pytest.mark.network)
        item.add_marker(pytest.mark.timeout(stories.LONGEST_SECONDS + 120.0))
    elif any(word in item.nodeid for word in COMPILES):
        item.add_marker(pytest.mark.timeout(COMPILING_SECONDS))


@pytest.fixture(scope="session", autouse=True)
def _fresh_databases() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schema, "migrate", fresh_databases.remembering(schema.migrate))
        yield


def scope_of(nodeid: str) -> str:
    """Return what is run by one process in one go: a file, or what shares a costly fixture."""
    file = nodeid.partition("::")[0]
    if file.startswith(OF_THE_STORY):
        return "story"
    # Hooks of this file are not called for examples of docstrings and documents.
    meets_clusters = file.startswith(("tests/conformance/", "tests/integration/")) and (
        "kubernetes" in file or file.endswith("/test_provisioning.py")
    )
    if not meets_clusters or file.endswith(CLUSTERS_OF_THEIR_OWN):
        return file
    return REAL_NODE if "/test_real_" in file else CONTROL_PLANE


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long, the story first of all, so that no process ends long before."""
    slow = {scope_of(item.nodeid) for item in items if item.get_closest_marker("slow")}

    def place(item: pytest.Item) -> tuple[bool, bool]:
        scope = scope_of(item.nodeid)
        return scope != "story", scope not in slow

    items.sort(key=place)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(
    item: pytest.Item, nextitem: pytest.Item | None
) -> Generator[None, object, object]:
    """End clusters with the last test that needs them: API servers are busy when nobody asks."""
    try:
        return (yield)
    finally:
        scope = scope_of(item.nodeid)
        last = nextitem is not None and scope_of(nextitem.nodeid) != scope
        # Only what xdist gives to a process is run in one go.
        if last and scope in WITH_CLUSTERS and hasattr(item.config, "workerinput"):
            RUNNING.close()


class Scheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Keeps each file on one worker, and all tests of the story, so that it is told once."""

    def _split_scope(self, nodeid: str) -> str:
        return scope_of(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling:
    """Give each worker whole files, in the order of `pytest_collection_modifyitems`."""
    config.option.loadscopereorder = False
    return Scheduling(config, log)
