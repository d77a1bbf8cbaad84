"""The server of an image is asked before anything is promoted, and what is attached is judged."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.clocks import SystemClock
from engine.model.errors import (
    DamagedError,
    InvalidInputError,
    NotFoundError,
    RefusedError,
    UnreachableError,
)
from executors.packaging import archives
from executors.packaging.oci import distribution
from executors.packaging.registry import OciRegistry
from executors.packaging.repository.delivery import Delivery
from executors.packaging.repository.image.asking import Ahead, ImageServer
from executors.packaging.repository.image.building import Images
from executors.packaging.repository.releases import Kind, Stage
from executors.packaging.repository.settings import Format
from executors.packaging.repository.surroundings import RUNNING, Surroundings
from executors.packaging.security import attachments
from executors.packaging.security.attachments import Suffix
from executors.packaging.security.scanning.offline import OfflineScanner
from executors.packaging.security.signing import cosign, envelopes, keys, provenance
from tests.support.pushed_models import World
from tests.support.registry_process import PROGRAM, RegistryProcess

HERE = Surroundings(kind=Format.PYTHON, libraries=(), version=RUNNING)


@pytest.fixture
def awaiting(world: World) -> Iterator[World]:
    """A world whose deliveries await more pushes, as an engine's do."""
    variables = {"PATH": "/usr/bin:/bin"}
    world.delivery.close()
    world.delivery = Delivery(world.home, world.servers, SystemClock(), variables, is_awaiting=True)
    yield world
    world.delivery.close()


def test_a_pushed_model_is_not_scanned_in_the_process_that_delivers(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.deliver()  # what lies below the model is scanned once
    world.train(flipped=True)
    monkeypatch.setattr(OfflineScanner, "scan_image", lambda *_: pytest.fail("scanned here"))
    assert world.deliver().stages


def test_an_image_without_its_libraries_is_refused(world: World) -> None:
    world.write("requirements.txt", "")
    with pytest.raises(DamagedError, match=r"does not serve.*No module named"):
        world.deliver()
    assert world.servers.swaps == []
    text = (world.work / "model.toml").read_text() + "[tests]\nask_image = false\n"
    world.write("model.toml", text)
    assert world.deliver().stages
    world.write("model.toml", text.replace("false", "0"))
    with pytest.raises(InvalidInputError, match="ask_image"):
        world.deliver()


def test_a_server_begun_ahead_serves_one_model_and_gives_way(awaiting: World) -> None:
    first = awaiting.deliver().package
    awaiting.train(flipped=True)
    second = awaiting.deliver().package
    assert awaiting.servers.swaps == [first, second]


def test_a_server_that_ended_while_it_waited_is_replaced() -> None:
    servers = Ahead(ImageServer)
    for version in ("a", "b"):
        with pytest.raises(NotFoundError, match="Python"):
            servers.prepare(Surroundings(kind=Format.PYTHON, libraries=(), version=version))
    lone = ImageServer(HERE)
    with pytest.raises(DamagedError, match="numpy"):
        lone.endpoint()
    lone.begin({})
    assert not lone.is_alive
    lone.end()
    servers.prepare(HERE)
    servers.prepare(HERE)
    for library in ("/a", "/b"):
        servers.prepare(
            Surroundings(kind=Format.PYTHON, libraries=(Path(library),), version=RUNNING)
        )
    found = servers.take(HERE)
    assert found is not None
    found.end()
    servers.close()


def test_libraries_of_a_base_are_found_and_links_passed_over(tmp_path: Path) -> None:
    data = archives.pack_files({"usr/lib/python3/dist-packages/x.py": b"1", "etc/passwd": b""})
    (tmp_path / "a.tar").write_bytes(data)
    with (tmp_path / "a.tar").open("rb") as file:
        archives.unpack_some(file, "a layer", tmp_path / "out", lambda name: "packages" in name)
    assert [p.name for p in (tmp_path / "out").rglob("*") if p.is_file()] == ["x.py"]
    limits = archives.Limits(bytes_max=0)
    with (tmp_path / "a.tar").open("rb") as file, pytest.raises(DamagedError, match="over 0"):
        archives.unpack_some(file, "a layer", tmp_path / "no", lambda _: True, limits)


def test_a_push_is_signed_and_says_how_it_came_to_be(world: World) -> None:
    public = keys.make(world.home / "signing.key", passphrase=None)
    package = world.deliver().package
    layout = OciRegistry(world.home / "models").layout("churn")
    assert cosign.signers(layout, package, [public]) == {public.identity}
    parts = attachments.read(layout, package, Suffix.ATTESTATIONS)
    statements = [envelopes.statement_of(part.data) for part in parts]
    built = next(s for s in statements if s["predicateType"] == provenance.PREDICATE)
    definition = built["predicate"]["buildDefinition"]
    assert len(definition["externalParameters"]["parameters"]["commit"]) == 40
    names = {entry["name"] for entry in definition["resolvedDependencies"]}
    assert names == {"base", "dependencies", "runtime", "model.onnx", "requirements.txt"}
    assert attachments.read(layout, package, Suffix.BILL)


def test_the_policy_is_asked_before_anything_is_kept(world: World) -> None:
    public = keys.make(world.folder / "other.key", passphrase=None)
    (world.home / "trusted.pub").write_bytes(public.pem)
    policy = "policy: strict\nsignatures: {by: trusted.pub}\n"
    (world.home / "policy.yaml").write_text(policy)
    with pytest.raises(RefusedError, match="strict"):
        world.deliver()
    assert world.servers.swaps == []
    assert OciRegistry(world.home / "models").images("churn") == ()
    (world.folder / "other.key").rename(world.home / "signing.key")
    assert world.delivery.deliver("churn").stages


def test_what_could_not_be_attached_to_an_image_is_told(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise UnreachableError("the registry is away")

    monkeypatch.setattr(Images, "push", lambda *_: "registry.example.org/churn@sha256:0")
    monkeypatch.setattr(Images, "send", lambda *_: None)
    monkeypatch.setattr(Images, "push_attached", fails)
    text = (world.work / "model.toml").read_text()
    world.write("model.toml", text + 'image = "registry.example.org/churn"\n')
    assert world.deliver().stages == (Stage.PRODUCTION,)
    last = world.delivery.journal("churn").events()[-1]
    assert (last.kind, last.reason) == (Kind.UNATTESTED, "the registry is away; ")
    assert world.delivery.promote("churn").package == world.servers.swaps[0]


@pytest.mark.network
@pytest.mark.skipif(
    PROGRAM is None and "CI" not in os.environ,
    reason="NOT RUN: there is no docker-registry (apt-get install docker-registry)",
)
def test_what_is_attached_is_pushed_beside_the_image(world: World) -> None:
    keys.make(world.home / "signing.key", passphrase=None)
    with RegistryProcess(world.folder / "registry") as registry:
        text = (world.work / "model.toml").read_text()
        world.write("model.toml", text + f'image = "{registry.host}/team/churn:v1"\n')
        image = world.deliver().image
        there = distribution.Registry(distribution.parse(image), {})
        digest = image.partition("@")[2]
        for suffix in Suffix:
            _, manifest = there.manifest(attachments.tag_of(digest, suffix))
            entry = manifest["layers"][0]
            data = there.blob(entry["digest"], entry["size"])
            assert (
                digest.removeprefix("sha256:").encode() in data or suffix is not Suffix.SIGNATURES
            )
        named = json.loads(data)["critical"]["identity"]["docker-reference"]
        assert named == f"{registry.host}/team/churn"
        there.close()
        world.delivery.close()
