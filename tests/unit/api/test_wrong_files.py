"""Commands given the wrong file or folder name it, say what is wanted, and write nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from api.cli import main


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Each command works in a folder of its own, which holds one file of prose."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.md").write_text("# Notes\n", encoding="ascii")
    return tmp_path


@pytest.mark.parametrize(
    ("command", "names", "fix"),
    [
        ("provision notes.md --terraform out", "notes.md", "berth capacity --json"),
        ("ci init gitlab", "holds no model.toml", "berth model init"),
        ("model push", "holds no model.toml", "berth model init"),
        ("serve absent", "there is no folder 'absent'", "a folder of models"),
        ("serve notes.md", "there is no folder 'notes.md'", "a folder of models"),
        ("private absent out", "absent", "a folder that can be read"),
        ("private . notes.md", "notes.md", "one that can be written"),
        ("import notes.md", "notes.md", "kfp dsl compile"),
        ("image unpack notes.md out", "notes.md", ""),
        ("runner --model notes.md", "notes.md", "a tar of a package"),
        ("runner --proto notes.md", "notes.md", ""),
    ],
)
def test_what_is_wrong_is_named_with_its_fix(
    folder: Path, capsys: pytest.CaptureFixture[str], command: str, names: str, fix: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main.application()([*command.split(), "--home", ".berth"], prog_name="berth")
    said = " ".join(capsys.readouterr().err.split())
    assert ended.value.code in {1, 2}
    assert names in said
    assert fix in said
    assert "Traceback" not in said
    assert not (folder / "out").exists()
