"""`scripts/cluster`, as people call it, with a real control plane without nodes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.clusters import fixtures, kubelet

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.timeout(600)]

ROOT = Path(__file__).resolve().parents[3]
Ask = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ask(tmp_path: Path) -> Iterator[Ask]:
    """Call the command on a folder of its own; nothing of it runs afterwards."""

    def call(*words: str) -> tuple[int, str, str]:
        command = [sys.executable, "-m", "tests.tools.cluster", *words, "--folder", str(tmp_path)]
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        return ended.returncode, ended.stdout, ended.stderr

    yield call
    assert call("down")[0] == 0


def test_a_cluster_is_started_told_and_stopped(ask: Ask, tmp_path: Path) -> None:
    fixtures.available()
    export = f"export KUBECONFIG={tmp_path / 'kubeconfig'}\n"
    code, told, _ = ask("up")
    assert (code, told) == (0, export)
    code, told, _ = ask("status")
    assert (code, told.count(" runs\n")) == (0, 4)
    assert "c1 answers at https://127.0.0.1:" in told
    assert told.endswith(export)
    code, _, said = ask("up")
    assert (code, said.splitlines()[-1]) == (1, "fix: `scripts/cluster down` ends what was started")
    assert ask("down")[0] == 0
    code, told, _ = ask("status")
    assert (code, told) == (0, "there is no cluster; `scripts/cluster up` starts one\n")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--control-planes", "0"), "--control-planes is 0; at least 1 is needed"),
        (("--nodes", "kwok:many"), "give `none`, `kubelet` or `kwok:COUNT`"),
    ],
)
def test_what_cannot_be_started_is_said(ask: Ask, words: tuple[str, str], why: str) -> None:
    code, told, said = ask("up", *words)
    assert (code, told) == (1, "")
    assert said.startswith("error: ")
    assert why in said


def test_a_node_that_is_stopped_again_leaves_its_number_to_others(tmp_path: Path) -> None:
    if why := kubelet.missing():
        pytest.skip(f"not run: {why}")
    (tmp_path / "other").mkdir()
    node = kubelet.claimed(tmp_path)
    node.stop()
    other = kubelet.claimed(tmp_path / "other")
    node.number = other.number
    node.stop()
    given = subprocess.run(["ip", "addr", "show", "lo"], capture_output=True, text=True, check=True)
    other.stop()
    assert f" {other.address}/32 " in given.stdout
