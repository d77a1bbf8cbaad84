"""`berth image build`: Berth's own image, to a registry or to podman."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from api.cli import main
from executors.packaging import images
from executors.packaging.oci import distribution, own
from executors.packaging.oci.builder import Builder, Recipe
from executors.packaging.oci.layers import LayerCache
from tests.support.empty_base import empty_base
from tests.support.registry_process import PROGRAM, RegistryProcess

PODMAN = """#!/bin/sh
[ "$1" = pull ] && cp -rL layout "$(dirname "$0")/taken" && echo 12ab
echo "$@" >> "$(dirname "$0")/asked"
"""


@pytest.fixture(autouse=True)
def _small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Berth's image be one that is made at once."""
    empty_base(tmp_path / ".berth" / "layers", monkeypatch)

    def build(cache: LayerCache, environment: dict[str, str], _only: None = None) -> object:
        root = cache.blob_path("sha256:" + "0" * 64).parents[2]
        return Builder(root, environment).build(Recipe(name="m", files={"metadata.json": b"{}"}))

    monkeypatch.setattr(own, "build", build)
    monkeypatch.chdir(tmp_path)


def build(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Return what the command prints."""
    with pytest.raises(SystemExit) as ended:
        main.application()(["image", "build", *words, "--home", ".berth"], prog_name="berth")
    assert ended.value.code == 0
    return capsys.readouterr().out.strip()


def test_podman_takes_the_image_under_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "podman"
    program.write_text(PODMAN)
    program.chmod(0o755)
    monkeypatch.setenv("BERTH_CONTAINER_PODMAN", str(program))
    assert build(capsys, "berth:0.1", "--podman") == "localhost/berth:0.1"
    assert (tmp_path / "asked").read_text().splitlines() == [
        "pull --quiet oci:layout",
        "tag 12ab localhost/berth:0.1",
        "untag 12ab localhost/layout:latest",
    ]
    (entry,) = images.read_index(tmp_path / "taken")
    manifest = json.loads(images.read_blob(tmp_path / "taken", entry, images.MANIFEST_TYPE))
    for described in (manifest["config"], *manifest["layers"]):
        images.read_blob(tmp_path / "taken", described, described["mediaType"])
    assert [path.name for path in (tmp_path / ".berth").iterdir()] == ["layers"]


@pytest.mark.network
@pytest.mark.skipif(
    PROGRAM is None and "CI" not in os.environ,
    reason="NOT RUN: there is no docker-registry (apt-get install docker-registry)",
)
def test_a_registry_takes_the_image_by_its_digest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with RegistryProcess(tmp_path / "registry") as registry:
        image = build(capsys, f"{registry.host}/berth:0.1")
        found = distribution.Registry(distribution.parse(f"{registry.host}/berth:0.1"), {})
        digest, _ = found.manifest()
        found.close()
    assert image == f"{registry.host}/berth@{digest}"
