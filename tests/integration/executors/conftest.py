"""Two real packages, in an artefact store and a registry, made once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from engine.model.identifiers import Digest
from executors.local import FolderArtifacts
from tests.support.heart_tasks import HeartTasks


@dataclass(frozen=True)
class Packages:
    """Packages of the heart model as artefacts."""

    tasks: HeartTasks
    artifacts: Path
    tree: Digest
    logistic: Digest
    bad: Digest


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Packages:
    tasks = HeartTasks(tmp_path_factory.mktemp("heart")).upto_features()
    store = FolderArtifacts(tasks.home / "artifacts")
    for family in ("tree", "logistic"):
        tasks.upto_package(family)
    bad = tasks.home / "bad"
    store.fetch(store.put(tasks.outputs("package-tree")), bad)
    layer = max((bad / "blobs" / "sha256").iterdir(), key=lambda path: path.stat().st_size)
    layer.chmod(0o644)
    layer.write_bytes(layer.read_bytes()[:-600] + b"!" * 600)
    return Packages(
        tasks=tasks,
        artifacts=tasks.home / "artifacts",
        tree=store.put(tasks.outputs("package-tree")),
        logistic=store.put(tasks.outputs("package-logistic")),
        bad=store.put(bad),
    )
