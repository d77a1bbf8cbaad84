"""kill -9 of the engine at a seeded sample of the crash points that the story passes."""

import os

import pytest

from benchmarks.crash import demo
from tests.support.story import Story

SAMPLE = 20
"""How many points; each costs one more start of the engine."""
DEMOS_SECONDS = 1_500


@pytest.fixture(scope="module")
def points(request: pytest.FixtureRequest) -> list[str]:
    if not os.environ.get("CI"):
        pytest.skip("not run here, run in CI (CI=1)")
    told: Story = request.getfixturevalue("told")
    return demo.sample(told.points, SAMPLE)


@pytest.fixture(scope="module")
def endings(points: list[str], tmp_path_factory: pytest.TempPathFactory) -> list[demo.Ending]:
    return demo.killed(tmp_path_factory.mktemp("crashes"), points, SAMPLE)


@pytest.mark.timeout(DEMOS_SECONDS)
def test_the_engine_was_killed_at_so_many_different_points(
    points: list[str], endings: list[demo.Ending]
) -> None:
    deaths = [death for one in endings for death in one.deaths]
    assert len(deaths) == len(set(deaths)) >= SAMPLE
    assert set(deaths) <= set(points)


def test_every_killed_story_was_told_to_its_end(endings: list[demo.Ending]) -> None:
    assert [one.exit_code for one in endings] == [0] * len(endings)


def test_no_attempt_of_a_killed_story_was_started_twice(endings: list[demo.Ending]) -> None:
    assert {count for one in endings for count in one.started.values()} == {1}


def test_the_store_knows_every_attempt_that_was_started(endings: list[demo.Ending]) -> None:
    assert sum(one.orphans for one in endings) == 0


def test_killed_stories_end_as_the_undisturbed_one(
    endings: list[demo.Ending], request: pytest.FixtureRequest
) -> None:
    told: Story = request.getfixturevalue("told")
    calm = demo.task_states(told.home)
    assert [one.states for one in endings] == [calm] * len(endings)


def test_points_are_sampled_by_seed_and_in_order() -> None:
    passed = [f"point-{n:02}#{count}" for n in range(50) for count in (1, 2)]
    chosen = demo.sample(passed, 20)
    assert len(chosen) == 23
    assert chosen == sorted(chosen) == demo.sample(passed, 20)
