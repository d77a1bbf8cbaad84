"""The built-in tasks attach, the registry keeps, the model server asks."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.model.dispatches import AttemptOrder
from engine.model.errors import RefusedError
from engine.model.identifiers import Digest
from engine.model.resources import Resources
from engine.model.specs import TaskKind
from executors.local import launch
from executors.packaging import images
from executors.packaging.registry import OciRegistry
from executors.packaging.security import attachments
from executors.packaging.security.attachments import Suffix
from executors.packaging.security.signing import envelopes, provenance
from executors.serving.packages import Packages
from tests.support.heart_tasks import HeartTasks
from tests.unit.security.conftest import Signed, package
from tests.unit.security.test_policies import PLAIN_PICKLE


@pytest.fixture(scope="module")
def heart(tmp_path_factory: pytest.TempPathFactory) -> HeartTasks:
    found = HeartTasks(tmp_path_factory.mktemp("heart")).upto_features()
    found.upto_package("tree")
    return found


def test_the_package_task_attaches_what_it_knows(heart: HeartTasks) -> None:
    layout, digest = heart.outputs("package-tree"), heart.values("package-tree")["digest"]
    parts = attachments.read(layout, digest, Suffix.ATTESTATIONS)
    statement = envelopes.statement_of(parts[0].data)
    materials = statement["predicate"]["buildDefinition"]["resolvedDependencies"]
    assert [entry["name"] for entry in materials] == ["data", "model.skops"]
    assert provenance.scan_of(envelopes.statement_of(parts[1].data)).worst is None
    assert attachments.read(layout, digest, Suffix.BILL)


def test_the_registry_keeps_what_is_attached(heart: HeartTasks, tmp_path: Path) -> None:
    digest = Digest(heart.values("package-tree")["digest"])
    registry = OciRegistry(heart.home / "models")
    assert registry.images("heart") == (digest,)
    assert len(attachments.tags(registry.layout("heart"))) == 2
    registry.fetch("heart", digest, tmp_path / "fetched")
    assert attachments.read(tmp_path / "fetched", digest, Suffix.BILL)


def test_the_server_loads_what_the_task_made(heart: HeartTasks) -> None:
    packages = Packages("heart", {"BERTH_HOME": str(heart.home)})
    assert packages.load("x", heart.outputs("package-tree")).family == "tree"


def test_the_server_refuses_by_the_policy(heart: HeartTasks, signed: Signed) -> None:
    (signed.folder / "policy.yaml").write_text("policy: strict\nsignatures: {by: signing.pub}\n")
    packages = Packages("heart", {"BERTH_HOME": str(signed.folder)})
    with pytest.raises(RefusedError, match="strict"):
        packages.load("x", heart.outputs("package-tree"))


def test_the_server_refuses_a_pickle_in_a_package(tmp_path: Path) -> None:
    package(tmp_path, model_pkl=PLAIN_PICKLE)
    with pytest.raises(RefusedError, match="pickle") as caught:
        Packages("heart", {}).load("x", tmp_path)
    assert caught.value.code == "P001"


@pytest.mark.parametrize(
    ("kind", "command", "sees"),
    [
        (TaskKind.PACKAGE, (), True),
        (TaskKind.PACKAGE, ("./mine",), False),
        (TaskKind.TRAIN, (), False),
    ],
)
def test_only_the_packaging_task_sees_how_to_sign(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    *,
    kind: TaskKind,
    command: tuple[str, ...],
    sees: bool,
) -> None:
    monkeypatch.setenv("BERTH_SIGNING_PASSPHRASE", "sesame")
    order = AttemptOrder(
        attempt_id="r-1.a.1",
        run_id="r-1",
        pipeline="p",
        task="a",
        kind=kind,
        cluster="c",
        pool="n",
        command=command,
        folder="",
        inputs={},
        parameters={},
        limits=Resources(),
    )
    found = launch.environment(order, tmp_path, 1)
    assert ("BERTH_SIGNING_PASSPHRASE" in found) is sees


def test_attachments_do_not_change_the_list_of_images(signed: Signed) -> None:
    assert [entry["digest"] for entry in images.read_index(signed.layout)] == [signed.digest]
