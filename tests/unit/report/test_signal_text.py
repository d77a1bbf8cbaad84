"""Signals as text, whatever others called their series."""

from __future__ import annotations

import dataclasses
import shlex

from api.report.signals import series_text
from engine.testing.watch_suites import gauge


def test_each_series_is_told_once_with_its_newest_value() -> None:
    text = series_text([gauge(20.0, 3.0), gauge(10.0, 2.0)], now=30.0)
    assert [line.split() for line in text.splitlines()[2:3]] == [
        ["serving", "model:p", "latency_ms_p99", "3", "10", "s"]
    ]
    assert "berth signals 'model:p|latency_ms_p99'" in text


def test_the_next_command_runs_nothing_that_a_name_holds() -> None:
    other = dataclasses.replace(gauge(10.0, 1.0), subject="pod:'; reboot; '\x1b[2J")
    last = series_text([other], now=10.0).splitlines()[-1]
    assert "\x1b" not in last
    words = shlex.split(last.removeprefix("Next:  "))
    assert words[:2] == ["berth", "signals"]
    assert words[2].startswith("pod:'; reboot; '")
