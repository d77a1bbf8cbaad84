"""The file of messages survives what happens to files."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from alarms import FileNotifier
from alarms.notification import files
from engine.model.alarms import Cause, CauseKind
from engine.model.errors import UnreachableError
from engine.testing.watch_suites import group


def test_damaged_lines_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "n.jsonl"
    path.write_text('{"id": "SA-0", "edits": 3}\nhalf a li\n[]\n', encoding="utf-8")
    FileNotifier(path).notify(group())
    assert [json.loads(line)["id"] for line in path.read_text().splitlines()] == ["SA-0", "SA-1"]


def test_a_folder_that_is_not_there_is_retryable(tmp_path: Path) -> None:
    with pytest.raises(UnreachableError, match="cannot write"):
        FileNotifier(tmp_path / "gone" / "n.jsonl").notify(group())


def test_old_messages_go_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MESSAGES_MAX", 2)
    notifier = FileNotifier(tmp_path / "n.jsonl")
    for name in ("SA-1", "SA-2", "SA-3"):
        notifier.notify(group(name=name))
    lines = (tmp_path / "n.jsonl").read_text().splitlines()
    assert [json.loads(line)["id"] for line in lines] == ["SA-2", "SA-3"]


def test_a_message_names_the_cause() -> None:
    cause = Cause(kind=CauseKind.DATA, subject="s", title="t", belief=0.876, settle="look")
    message = files.message_of(dataclasses.replace(group(), causes=(cause,)))
    assert message["cause"] == {"kind": "data", "title": "t", "belief": 0.88}
    assert message["settle"] == "look"
    assert message["undecided"] == ""


def test_a_message_says_that_a_cause_is_not_believed_enough() -> None:
    cause = Cause(kind=CauseKind.DATA, subject="s", title="t", belief=0.52)
    weak = dataclasses.replace(group(), causes=(cause,), act_above=0.6)
    assert files.message_of(weak)["undecided"] == "the belief in it, 0.52, is below 0.6"
