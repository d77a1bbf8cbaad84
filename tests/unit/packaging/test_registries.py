"""Push and pull with a real registry, logins included, and one that dies in the middle."""

from __future__ import annotations

import base64
import contextlib
import http.server
import itertools
import json
import os
import random
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from engine.model.errors import DamagedError, NotFoundError, RefusedError, UnreachableError
from executors.packaging import images
from executors.packaging.oci import distribution
from executors.packaging.oci.builder import Builder, Built, Recipe, write_context
from executors.packaging.oci.layers import LayerCache, Role, key_of
from executors.packaging.oci.transport import Answer
from tests.support.empty_base import empty_base
from tests.support.registry_process import PROGRAM, RegistryProcess

pytestmark = [
    pytest.mark.network,
    pytest.mark.skipif(
        PROGRAM is None and "CI" not in os.environ,
        reason="NOT RUN: there is no docker-registry (apt-get install docker-registry)",
    ),
]
FILES = {"metadata.json": b"{}", "model.onnx": b"weights"}


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[RegistryProcess]:
    with RegistryProcess(tmp_path / "registry") as found:
        yield found


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Built:
    empty_base(tmp_path / "layers", monkeypatch)
    return Builder(tmp_path / "layers", {}).build(Recipe(name="m", files=FILES))


@pytest.fixture(autouse=True)
def connections() -> Iterator[None]:
    """Close what a test opened."""
    yield
    while OPENED:
        OPENED.pop().close()


OPENED: list[distribution.Registry] = []


def opened(host: str, environment: dict[str, str] | None = None) -> distribution.Registry:
    found = distribution.Registry(distribution.parse(f"{host}/team/m:v1"), environment or {})
    OPENED.append(found)
    return found


def push(registry: distribution.Registry, built: Built) -> str:
    return registry.push(built.layers, built.config, built.manifest, tags=("v1",))


def test_a_pushed_image_comes_back_by_tag(
    registry: RegistryProcess, built: Built, tmp_path: Path
) -> None:
    there = opened(registry.host)
    assert push(there, built) == built.digest
    assert there.manifest()[0] == built.digest
    there.pull_package(tmp_path / "x")
    assert dict(images.read_image(tmp_path / "x").files) == FILES
    with pytest.raises(NotFoundError):
        there.manifest("v2")


@pytest.mark.skipif(
    shutil.which("skopeo") is None and "CI" not in os.environ,
    reason="NOT RUN: there is no skopeo (apt-get install skopeo)",
)
def test_skopeo_reads_what_was_pushed(registry: RegistryProcess, built: Built) -> None:
    push(opened(registry.host), built)
    image = f"docker://{registry.host}/team/m:v1"
    command = ["skopeo", "inspect", "--tls-verify=false", image]
    found = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert found["Digest"] == built.digest
    assert len(found["Layers"]) == len(built.layers)


def test_the_same_recipe_gives_the_same_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = set()
    for name in ("a", "b"):
        empty_base(tmp_path / name, monkeypatch)
        found.add(Builder(tmp_path / name, {}).build(Recipe(name="m", files=FILES)).digest)
    assert len(found) == 1


def test_a_registry_that_dies_leaves_nothing_half_done(
    registry: RegistryProcess, built: Built
) -> None:
    there = opened(registry.host)
    port = int(registry.host.rpartition(":")[2])
    original = there._send_layer

    def dying(layer: object) -> None:
        original(layer)
        registry.kill()

    there._send_layer = dying  # type: ignore[method-assign]
    with pytest.raises(UnreachableError, match="does not answer"):
        push(there, built)
    registry.start(port)
    with pytest.raises(NotFoundError):
        opened(registry.host).manifest()
    assert push(opened(registry.host), built) == built.digest


def test_a_big_blob_goes_on_where_it_broke_off(
    registry: RegistryProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distribution, "_CHUNK_BYTES", 1 << 16)
    data = random.Random(1).randbytes(1 << 18)
    layer = LayerCache(tmp_path / "l").make(key_of("x"), Role.BASE, lambda sink: [sink.write(data)])
    there = opened(registry.host)
    original = there._http.ask
    broken: list[str] = []

    def breaking(
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        **bounds: int,
    ) -> Answer:
        answer = original(method, path, body, headers, **bounds)
        if method == "PATCH" and len(broken) < 2:
            broken.append(path)
            raise UnreachableError("the answer was lost")
        return answer

    monkeypatch.setattr(there._http, "ask", breaking)
    there._send_layer(layer)
    assert len(broken) == 2
    assert len(there.blob(layer.digest, layer.size_bytes)) == layer.size_bytes


def test_logins_come_from_the_file_of_docker(tmp_path: Path, built: Built) -> None:
    # The password of `a` is `right`, hashed by bcrypt.
    hashed = "$2y$05$abcdefghijklmnopqrstuu8xaCxxL82bnl.UY74PMksDxIJShppPC"
    (tmp_path / "htpasswd").write_text(f"a:{hashed}\n")
    with RegistryProcess(tmp_path / "registry", tmp_path / "htpasswd") as registry:
        with pytest.raises(RefusedError, match="nobody in particular"):
            push(opened(registry.host), built)
        login = base64.b64encode(b"a:wrong").decode()
        document = {"auths": {registry.host: {"auth": login}}}
        (tmp_path / "config.json").write_text(json.dumps(document))
        with pytest.raises(RefusedError, match="'a'"):
            push(opened(registry.host, {"DOCKER_CONFIG": str(tmp_path)}), built)
        document["auths"][registry.host]["auth"] = base64.b64encode(b"a:right").decode()
        (tmp_path / "config.json").write_text(json.dumps(document))
        assert push(
            opened(
                registry.host, {"HOME": str(tmp_path / "no")} | {"DOCKER_CONFIG": str(tmp_path)}
            ),
            built,
        )


def test_nobody_answers_at_a_closed_port(built: Built) -> None:
    with pytest.raises(UnreachableError, match="does not answer"):
        push(opened("127.0.0.1:9"), built)


class Hostile(http.server.BaseHTTPRequestHandler):
    """A registry that answers every request with what its server was given."""

    def do_GET(self) -> None:
        length, body = cast("Any", self.server).answer
        self.send_response(200)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        with contextlib.suppress(OSError):  # who asks has heard enough
            for part in body:
                self.wfile.write(part)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def hostile() -> Iterator[http.server.HTTPServer]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hostile) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        ((None, itertools.repeat(b" " * 65_536)), RefusedError, "with more than 4,194,304 bytes"),
        ((99, [b"{}"]), UnreachableError, "does not answer"),
        ((None, [b"[" * 100_000]), DamagedError, "is not JSON"),
    ],
    ids=["endless", "cut off", "deep"],
)
def test_whatever_a_registry_answers_is_bounded(
    hostile: http.server.HTTPServer, answer: object, error: type[Exception], said: str
) -> None:
    cast("Any", hostile).answer = answer
    there = opened(f"127.0.0.1:{hostile.server_port}")
    with pytest.raises(error, match=said):
        there.manifest()


@pytest.mark.parametrize(
    "text", ["", "m", "host/m", "h.org/M", "h.org/../x", "h.org/m:a b", "h.org/m@md5:1"]
)
def test_what_is_no_image_is_refused(text: str) -> None:
    with pytest.raises(RefusedError, match="no image"):
        distribution.parse(text)


def test_a_changed_blob_is_damage(registry: RegistryProcess, built: Built, tmp_path: Path) -> None:
    there = opened(registry.host)
    push(there, built)
    for path in (tmp_path / "registry").rglob("data"):
        if path.is_file() and path.read_bytes() == built.model.data:
            path.write_bytes(built.model.data[:-1] + b"!")
    with pytest.raises(DamagedError, match="not what its digest says"):
        there.pull_package(tmp_path / "x")


def test_the_dockerfile_names_every_layer(tmp_path: Path, built: Built) -> None:
    recipe = Recipe(name="m", files=FILES, labels={"a": "b"})
    builder = Builder(tmp_path / "layers", {})
    path = write_context(built, recipe, builder.base(recipe), tmp_path / "context")
    added = [line.split()[1] for line in path.read_text().splitlines() if line.startswith("ADD")]
    assert sorted(added) == sorted(p.name for p in path.parent.iterdir() if p.name != "Dockerfile")
    assert len(added) == len(built.layers)
