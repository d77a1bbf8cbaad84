"""Which files of the engine's machine are sent along with a task."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from engine.model.dispatches import AttemptOrder
from engine.model.errors import RefusedError
from executors.kubernetes.manifests import reads_of, shipped_files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A pipeline's folder with a file, and one beside it."""
    made = tmp_path / "pipeline"
    made.mkdir()
    (made / "rows.csv").write_text("1")
    (tmp_path / "secret").write_text("2")
    (made / "link").symlink_to(tmp_path / "secret")
    return made


def shipped(folder: Path, reads: str, *command: str) -> dict[str, Path]:
    return shipped_files(order(folder, reads, *command))


def order(folder: Path, reads: str, *command: str) -> AttemptOrder:
    made = SimpleNamespace(
        task="etl", folder=str(folder), command=command, parameters={"task": {"reads": reads}}
    )
    return cast("AttemptOrder", made)


def test_what_a_task_reads_and_its_command_names_is_sent(folder: Path) -> None:
    (folder / "fit.py").write_text("")
    found = shipped(folder, "rows.csv", "python", "$BERTH_FOLDER/fit.py")
    assert found == {name: folder / name for name in ("rows.csv", "fit.py")}


def test_a_whole_path_into_the_folder_is_a_place_below_it(folder: Path) -> None:
    assert shipped(folder, str(folder / "rows.csv")) == {"rows.csv": folder / "rows.csv"}
    assert reads_of(order(folder, f"{folder}/rows.csv")) == "rows.csv"


@pytest.mark.parametrize("reads", ["none.csv", "s3://bucket/rows.csv"])
def test_what_is_no_file_of_the_folder_is_left_to_the_task(folder: Path, reads: str) -> None:
    assert shipped(folder, reads) == {}


@pytest.mark.parametrize("reads", ["../secret", "link", "/etc/passwd", "{}/secret"])
def test_nothing_outside_of_the_folder_is_sent(folder: Path, reads: str) -> None:
    named = reads.format(folder.parent)
    with pytest.raises(RefusedError, match=r"only .*/pipeline' is sent along") as told:
        shipped(folder, named)
    assert told.value.fix == "put the file itself into that folder"
    assert shipped(folder, "", "cat", f"$BERTH_FOLDER/{named}") == {}
