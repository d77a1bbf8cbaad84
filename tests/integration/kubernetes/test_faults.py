"""A sample of the faults of `benchmarks/kubernetes/faults.py`, each on a real control plane.

They run in a process of their own, since it forks the engines that it kills. In CI they are
more, of more kinds and longer; `scripts/test` names the difference.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.clusters import fixtures

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.timeout(2_400)]

ROOT = Path(__file__).resolve().parents[3]
KINDS, KILLS, OUTAGE_SECONDS = (
    ("F1,F3,F4,F7,G1", 60, 20) if os.environ.get("CI") else ("F1,F4,G1", 6, 8)
)
PACED = ("s", "a minute")
"""Units of what depends on how busy the machine is: the benchmark has bars for it, tests do not."""


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, object]]:
    fixtures.available()
    told = tmp_path_factory.mktemp("faults") / "figures.json"
    sample = ["--only", KINDS, "--kills", str(KILLS), "--outage", str(OUTAGE_SECONDS)]
    command = [sys.executable, "-m", "benchmarks", "kubernetes.faults", *sample, "--json", told]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode in {0, 1}, ended.stderr[-4000:]
    return {each["name"]: each for each in json.loads(told.read_text("utf-8"))["figures"]}


def test_nothing_is_lost_or_run_twice_whatever_fails(figures: dict[str, dict[str, object]]) -> None:
    missed = [each for each in figures.values() if not each["holds"] and each["unit"] not in PACED]
    assert missed == []


def test_the_engine_was_killed_at_many_different_points(
    figures: dict[str, dict[str, object]],
) -> None:
    assert figures["F1 kills: kill -9 of the engine"]["value"] == KILLS
    assert figures["F1 kills: different points died at"]["value"] >= KILLS / 6  # type: ignore[operator]
