"""Which files of the engine's machine are sent along with a task."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from engine.model.dispatches import AttemptOrder
from executors.kubernetes.manifests import shipped_files


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
    order = SimpleNamespace(
        folder=str(folder), command=command, parameters={"task": {"reads": reads}}
    )
    return shipped_files(cast("AttemptOrder", order))


def test_what_a_task_reads_and_its_command_names_is_sent(folder: Path) -> None:
    (folder / "fit.py").write_text("")
    found = shipped(folder, "rows.csv", "python", "$BERTH_FOLDER/fit.py")
    assert found == {name: folder / name for name in ("rows.csv", "fit.py")}


@pytest.mark.parametrize("reads", ["../secret", "link", "/etc/passwd", "{}/secret", "none.csv"])
def test_nothing_outside_of_the_folder_is_sent(folder: Path, reads: str) -> None:
    named = reads.format(folder.parent)
    assert shipped(folder, named) == {}
    assert shipped(folder, "", "cat", f"$BERTH_FOLDER/{named}") == {}
