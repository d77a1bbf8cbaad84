"""The files of the story."""

from pathlib import Path

import pytest

from api.cli.story import director, workspace
from engine.model import errors

EXAMPLES = Path(__file__).parents[3] / "examples"


@pytest.fixture
def space(tmp_path: Path) -> workspace.Workspace:
    return workspace.prepare(tmp_path / "home", EXAMPLES, seed=7)


def test_held_out_records_are_not_in_the_upstream_file(space: workspace.Workspace) -> None:
    assert len(workspace.read_rows(space.upstream)) == 203
    assert len(space.held_out) == len(space.labels) == 100


def test_the_same_seed_holds_out_the_same_records(
    space: workspace.Workspace, tmp_path: Path
) -> None:
    again = workspace.prepare(tmp_path / "again", EXAMPLES, seed=7)
    other = workspace.prepare(tmp_path / "other", EXAMPLES, seed=8)
    assert again.held_out == space.held_out != other.held_out


def test_changing_the_unit_divides_cholesterol_only(space: workspace.Workspace) -> None:
    before = workspace.read_rows(space.upstream)
    workspace.change_unit(space.upstream)
    after = workspace.read_rows(space.upstream)
    ratios = [float(b["chol"]) / float(a["chol"]) for b, a in zip(before, after, strict=True)]
    assert all(abs(ratio - workspace.MMOL_PER_MG_DL) < 0.1 for ratio in ratios)
    assert [row["age"] for row in before] == [row["age"] for row in after]


def test_a_record_in_millimoles_differs_in_cholesterol_only() -> None:
    assert workspace.in_millimoles({"chol": 386.7, "age": 50.0}) == {"chol": 10.0, "age": 50.0}


def test_without_the_examples_the_fix_is_named(tmp_path: Path) -> None:
    with pytest.raises(errors.NotFoundError, match=r"heart-disease\.csv") as caught:
        workspace.prepare(tmp_path / "home", tmp_path / "nowhere", seed=7)
    assert "--examples" in caught.value.fix


def test_a_folder_that_no_demo_made_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious").touch()
    with pytest.raises(errors.RefusedError, match="not made by the demo"):
        director.fresh(tmp_path)
    assert (tmp_path / "precious").exists()


def test_a_folder_of_an_earlier_demo_is_made_anew(tmp_path: Path) -> None:
    home = director.fresh(tmp_path / "home")
    (home / "old").touch()
    assert [path.name for path in director.fresh(home).iterdir()] == [director.MARK]
