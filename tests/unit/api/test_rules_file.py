"""A changed file of rules is used at once; one with faults leaves the old rules in use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from alarms.rules.detection import Detection
from alarms.rules.files import load_rules
from api.wiring.rules_file import RulesFile
from engine.model.records import EVENTS
from engine.model.signals import Layer, Signal
from engine.store import open_ledger
from engine.testing.clocks import ManualClock

RULE = "rules:\n- {{name: {name}, raise: {level}, when: signal.value > 1.0, by: me, because: so}}\n"


def signal(at: float) -> Signal:
    return Signal(name="x", layer=Layer.SERVING, subject="model:p", at=at, value=2.0)


def write(path: Path, text: str, at: float) -> None:
    path.write_text(text)
    os.utime(path, (at, at))


def test_new_rules_are_used_and_rules_with_faults_are_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, clock = tmp_path / "rules.yaml", ManualClock(1_000.0)
    write(path, RULE.format(name="a", level="warning"), 1.0)
    detection = Detection(rules=load_rules(path.read_text(), "rules.yaml"))
    with open_ledger("sqlite://") as ledger:
        file = RulesFile(path, detection.use, ledger, clock)
        file.look()
        assert [alarm.rule for alarm in detection.observe([signal(1.0)])] == ["a"]
        write(path, "rules:\n- {name: b, raise: loud}\n", 2.0)
        file.look()
        assert list(detection.abnormal()) == ["model:p|x"]
        assert "no severity" in caplog.text
        clock.advance(1.0)
        write(path, RULE.format(name="c", level="critical"), 3.0)
        file.look()
        file.look()
        assert list(detection.abnormal()) == []
        assert [alarm.rule for alarm in detection.observe([signal(900.0)])] == ["c"]
        clock.advance(1.0)
        path.unlink()
        file.look()
        said = [one.value.message for one in ledger.select(EVENTS, order_by="at")]
    assert "the old ones stay" in said[0]
    assert said[1] == "1 rule is used from now on"
    assert "the old ones stay" in said[2]
