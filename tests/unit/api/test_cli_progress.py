"""The line about a search that goes on, and what Ctrl-C does to it."""

from __future__ import annotations

import os
import signal

import pytest

from api.cli import progress
from api.cli.frame import Talk
from engine.model.plans import Incumbent

FOUND = Incumbent(
    unplaced_weight=0.0, objective_micro_dollars=43_200_000, bound_micro_dollars=42_310_000
)


def test_a_line_has_incumbent_bound_gap_and_seconds() -> None:
    text = progress.incumbent_text(FOUND, 1.8)
    assert text == "solving  incumbent $43.20, bound $42.31, gap 2.1 %, 1.8 s"


def test_what_has_no_place_is_told() -> None:
    left = Incumbent(unplaced_weight=2.0, objective_micro_dollars=0, bound_micro_dollars=0)
    assert "weight 2 without a place" in progress.incumbent_text(left, 0.0)


def test_a_live_line_replaces_itself(capsys: pytest.CaptureFixture[str]) -> None:
    live = progress.Progress(live=True, lines=False, seconds=lambda: 0.0)
    live.found(FOUND)
    live.clear()
    said = capsys.readouterr().err
    assert said.startswith("\r\x1b[Ksolving")
    assert said.endswith("\r\x1b[K")
    assert "\n" not in said


def test_in_logs_each_better_plan_has_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    lines = progress.Progress(live=False, lines=True, seconds=lambda: 0.0)
    lines.found(FOUND)
    lines.found(FOUND)
    lines.clear()
    assert capsys.readouterr().err.count("\n") == 2


def test_ctrl_c_asks_for_the_best_so_far_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.watching(Talk()) as watch:
        assert not watch.wants_end()
        os.kill(os.getpid(), signal.SIGINT)
        assert watch.wants_end()
    said = capsys.readouterr().err
    assert "stopping at the best plan so far" in said
    assert "this is the best that was found" in said


def test_a_second_ctrl_c_ends_the_command() -> None:
    with progress.watching(Talk()):
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_afterwards_ctrl_c_is_what_it_was() -> None:
    before = signal.getsignal(signal.SIGINT)
    with progress.watching(Talk()):
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before
