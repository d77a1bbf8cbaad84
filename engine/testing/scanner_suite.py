"""What every `Scanner` keeps; subclass `ScannerSuite` with a fixture."""

from __future__ import annotations

import pickle
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.model.errors import NotFoundError
from engine.model.scans import FindingSeverity
from engine.ports import Scanner


class Harm:
    """Unpickles into a command that leaves a mark."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self) -> tuple[Callable[..., int], tuple[list[str]]]:
        """Return what a loader would call."""
        return subprocess.call, (["touch", str(self._mark)],)


class ScannerSuite:
    """The contract of the port `Scanner`."""

    @pytest.fixture
    def scanner(self) -> Scanner:
        """Return a scanner."""
        raise NotImplementedError

    def test_nothing_is_found_in_harmless_text(self, scanner: Scanner, tmp_path: Path) -> None:
        """A folder of plain files has no finding that counts."""
        (tmp_path / "notes.txt").write_text("nothing to see", encoding="utf-8")
        worst = scanner.scan(tmp_path).worst
        assert worst is None or worst is FindingSeverity.LOW

    def test_a_harmful_pickle_is_found(self, scanner: Scanner, tmp_path: Path) -> None:
        """What a pickle would call is seen, and its file is named."""
        (tmp_path / "model.pkl").write_bytes(pickle.dumps(Harm(tmp_path / "mark")))
        report = scanner.scan(tmp_path)
        assert report.worst is FindingSeverity.CRITICAL
        assert report.findings[0].place == "model.pkl"

    def test_nothing_is_run(self, scanner: Scanner, tmp_path: Path) -> None:
        """Looking at a pickle does not load it."""
        (tmp_path / "model.pkl").write_bytes(pickle.dumps(Harm(tmp_path / "mark")))
        scanner.scan(tmp_path)
        assert not (tmp_path / "mark").exists()

    def test_nothing_is_changed(self, scanner: Scanner, tmp_path: Path) -> None:
        """What is scanned stays as it was, and nothing is put beside it."""
        (tmp_path / "model.pkl").write_bytes(pickle.dumps(Harm(tmp_path / "mark")))
        before = {path: path.read_bytes() for path in tmp_path.iterdir()}
        scanner.scan(tmp_path)
        assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before

    def test_the_same_content_gives_the_same_report(self, scanner: Scanner, tmp_path: Path) -> None:
        """Reports do not depend on when or how often one looks."""
        (tmp_path / "model.pkl").write_bytes(pickle.dumps([1, Harm(tmp_path / "mark")]))
        assert scanner.scan(tmp_path) == scanner.scan(tmp_path)

    def test_the_worst_finding_comes_first(self, scanner: Scanner, tmp_path: Path) -> None:
        """Findings are in order of severity."""
        (tmp_path / "a.pkl").write_bytes(pickle.dumps([1]))
        (tmp_path / "b.pkl").write_bytes(pickle.dumps(Harm(tmp_path / "mark")))
        ranks = [found.severity.rank for found in scanner.scan(tmp_path).findings]
        assert ranks == sorted(ranks, reverse=True)

    def test_a_path_with_nothing_is_named(self, scanner: Scanner, tmp_path: Path) -> None:
        """A wrong path is an error, not an empty report."""
        with pytest.raises(NotFoundError, match="absent"):
            scanner.scan(tmp_path / "absent")
