"""Clusters of a kubeconfig that changes while the engine runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from executors.kubernetes import clusters as module
from executors.kubernetes.clusters import KubernetesClusters
from executors.kubernetes.settings import KubernetesSettings


def write(path: Path, *names: str, token: str = "t") -> None:
    content = {
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": {"token": token}}],
        "contexts": [{"name": each, "context": {"cluster": "c", "user": "u"}} for each in names],
    }
    path.touch(mode=0o600)
    path.write_text(json.dumps(content), encoding="utf-8")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config"
    write(path, "east")
    return path


@pytest.fixture
def known(config: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KubernetesClusters]:
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.0)
    made = KubernetesClusters(KubernetesSettings(kubeconfig=config), "i")
    assert list(made.links()) == ["east"]
    yield made
    made.stop()


def test_a_new_context_is_a_cluster_and_the_others_stay_connected(
    known: KubernetesClusters, config: Path
) -> None:
    before = known.links()["east"]
    write(config, "east", "west")
    assert list(known.links()) == ["east", "west"]
    assert known.links()["east"] is before


def test_renewed_credentials_are_used(known: KubernetesClusters, config: Path) -> None:
    before = known.links()["east"]
    write(config, "east", token="renewed")
    after = known.links()["east"]
    assert after is not before
    assert after.api is not None


def test_a_context_that_vanished_is_kept_as_one_that_does_not_answer(
    known: KubernetesClusters, config: Path
) -> None:
    write(config, "west")
    east = known.links()["east"]
    assert not east.is_reachable
    assert east.trouble is not None
    assert "not in the kubeconfig any more" in east.trouble.message


def test_one_that_comes_back_is_connected_again(known: KubernetesClusters, config: Path) -> None:
    write(config, "west")
    assert known.links()["east"].api is None
    write(config, "west", "east")
    assert known.links()["east"].api is not None


def test_a_kubeconfig_that_cannot_be_read_changes_nothing(
    known: KubernetesClusters, config: Path
) -> None:
    config.write_text("{[", encoding="utf-8")
    assert known.links()["east"].api is not None
