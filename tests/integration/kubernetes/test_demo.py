"""The story of the demo with a real node: it trains and serves there, and loses it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import pytest

from engine import store
from engine.model import records
from engine.model.dispatches import Attempt, AttemptState
from tests.support.clusters import real_node
from tests.tools.kubernetes_demo import NAME

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.timeout(3_700)]
_STORY_SECONDS = 3_600


@dataclass(frozen=True, slots=True)
class Told:
    """What a story left."""

    figures: dict[str, Any]
    attempts: tuple[Attempt, ...]

    def on_node(self, *tasks: str) -> set[tuple[str, AttemptState]]:
        """Return executor and state of the attempts of some tasks on the node."""
        return {
            (each.executor, each.state)
            for each in self.attempts
            if each.cluster == NAME and each.task.startswith(tasks)
        }


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    real_node.needed()
    base = tmp_path_factory.mktemp("demo")
    command = [sys.executable, "-m", "tests.tools.kubernetes_demo", "--folder", str(base / "real")]
    story = ["--exit", "--brief", "--home", str(base / "home"), "--summary", str(base / "told")]
    done = subprocess.run(
        [*command, *story], capture_output=True, text=True, check=False, timeout=_STORY_SECONDS
    )
    assert done.returncode == 0, f"{done.stdout[-4_000:]}\n{done.stderr[-2_000:]}"
    with store.open_ledger(f"sqlite:///{base / 'home' / 'berth.sqlite'}") as ledger:
        attempts = tuple(stored.value for stored in ledger.select(records.ATTEMPTS))
    return Told(json.loads((base / "told").read_text("utf-8")), attempts)


def test_models_were_trained_and_packaged_in_pods(told: Told) -> None:
    succeeded = {("kubernetes", AttemptState.SUCCEEDED)}
    assert told.on_node("knn", "tree", "forest", "svm") == succeeded
    assert told.on_node("package-") == succeeded


def test_drift_was_noticed_at_the_server_in_a_pod(told: Told) -> None:
    assert "chol" in told.figures["data fault: likely cause"]


def test_the_new_model_was_rolled_out_without_a_failed_request(told: Told) -> None:
    assert told.figures["data fault: requests sent until the swap"] > 0
    assert told.figures["data fault: failed requests until and during the swap"] == 0
    assert told.figures["data fault: failed requests afterwards"] == 0


def test_the_model_moved_when_the_node_lost_its_power(told: Told) -> None:
    assert told.figures["cluster fault: moved"].startswith(f"{NAME} to ")
    assert told.figures["cluster fault: retrainings"] == 0
