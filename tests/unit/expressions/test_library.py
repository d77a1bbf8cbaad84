"""CEL is loaded without what only its command line needs."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

import pytest

from engine.expressions import library


def test_it_comes_without_its_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("cel", "cel.cli"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    found = importlib.reload(library).cel
    assert found.evaluate("1 + 1") == 2
    assert "cel.cli" not in sys.modules


def test_a_command_line_that_is_there_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = ModuleType("cel.cli")
    monkeypatch.delitem(sys.modules, "cel", raising=False)
    monkeypatch.setitem(sys.modules, "cel.cli", mine)
    importlib.reload(library)
    assert sys.modules["cel.cli"] is mine
