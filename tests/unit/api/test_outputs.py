"""Files that commands write: whole or not at all."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.cli import main, outputs
from engine.model.errors import RefusedError

LIMIT_BYTES = 1_000


@contextlib.contextmanager
def full_disk() -> Iterator[None]:
    """What a file may hold is bounded, so that a write beyond it fails half way."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT_BYTES, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("new", [True, False])
def test_a_full_disk_leaves_no_half_of_a_file(tmp_path: Path, *, new: bool) -> None:
    with full_disk(), pytest.raises(RefusedError, match="cannot be written") as refused:
        outputs.write(tmp_path / "churn.yaml", "x" * 2 * LIMIT_BYTES, new=new)
    assert "make room" in refused.value.fix
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_keeps_the_file_that_was_there(tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("old", encoding="utf-8")
    with full_disk(), pytest.raises(RefusedError, match="cannot be written"):
        outputs.write(tmp_path / "report.html", "x" * 2 * LIMIT_BYTES)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_a_new_file_takes_the_place_and_the_rights_of_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("old", encoding="utf-8")
    path.chmod(0o640)
    (tmp_path / "link").symlink_to(path)
    outputs.write(tmp_path / "link", b"new")
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("new", 0o640)
    assert (tmp_path / "link").is_symlink()


def test_what_stands_there_is_kept_where_a_new_file_was_wished(tmp_path: Path) -> None:
    (tmp_path / "churn.yaml").symlink_to("nowhere")
    with pytest.raises(RefusedError, match="is there already"):
        outputs.write(tmp_path / "churn.yaml", "new", new=True)
    assert (tmp_path / "churn.yaml").is_symlink()


def test_any_command_says_that_the_disk_is_full(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("api.cli.helping._version", lambda: Path("/dev/full").write_bytes(b"x"))
    with pytest.raises(SystemExit) as ended:
        main.application()(["version"], prog_name="berth")
    assert ended.value.code == 5
    assert "error[R000]: the disk is full\nfix: make room" in capsys.readouterr().err


def test_a_device_is_written_and_stays_one() -> None:
    with pytest.raises(RefusedError, match="No space left"):
        outputs.write(Path("/dev/full"), "new")
    outputs.write(Path("/dev/null"), "new")
    assert Path("/dev/null").is_char_device()


def test_what_came_to_stand_there_meanwhile_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "churn.yaml"

    def unseen(_: object) -> bool:
        path.write_text("somebody's")
        return False

    monkeypatch.setattr("os.path.lexists", unseen)
    with pytest.raises(RefusedError, match="File exists"):
        outputs.write(path, "new", new=True)
    assert [each.read_text() for each in tmp_path.iterdir()] == ["somebody's"]


def test_a_new_file_is_written_where_no_file_has_two_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", refused)
    outputs.write(tmp_path / "churn.yaml", "new", new=True)
    assert [each.read_text() for each in tmp_path.iterdir()] == ["new"]
