"""How long an image takes: cold, model changed, rebuilt; and that it is the same and runs.

The image holds numpy, scipy, scikit-learn and uvicorn (resolved now, versions from the index) and a
logistic regression on iris. The base is Debian's, laid out once by mmdebstrap and kept; its time is
told apart, for the peer's base is there before it starts too. `cold` begins with empty caches of
layers and of uv, fetches every library from the index, and ends when a real registry
(docker-registry on the loopback) has the manifest. `model changed` is another model with the same
libraries, until its manifest is in the registry. `rebuilt` is made of the same inputs in another
folder with empty caches. Buildah builds and pushes the same in the same run, from the same base
with pip, where it is installed. Podman runs the image and answers a request, and so does a real
kubelet of this machine, which pulls it from the registry; what cannot be had is told as not run.
"""

import argparse
import json
import shutil
import socket
import statistics
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from benchmarks import frame
from benchmarks.packaging import _model
from benchmarks.packaging._containers import Containers
from executors.kubernetes.api import Api
from executors.packaging import images
from executors.packaging.oci import distribution
from executors.packaging.oci.builder import Builder, Built, Recipe, write_context
from executors.packaging.oci.dependencies import Installer
from tests.support.clusters import building, kubelet, plane
from tests.support.clusters.fixtures import api_of
from tests.support.registry_process import PROGRAM, RegistryProcess

CHANGES = 15
QUICK_CHANGES = 5
COLD = "buildah 14.1 s (idle machine)"
CHANGED = "buildah .61 s (idle machine)"
ANSWER_SECONDS_MAX = 60.0


def add_options(group: argparse._ArgumentGroup) -> None:
    """Adds the option of this benchmark."""
    group.add_argument("--no-peer", action="store_true", help="do not build with buildah too")


def run(context: frame.Context) -> Iterator[frame.Figure]:
    """Yields the figures."""
    if PROGRAM is None:
        raise frame.BenchmarkError("docker-registry is not installed: apt install docker-registry")
    variables = _model.environment()
    base, seconds = _base(context.scratch)
    yield frame.informs("base laid out", seconds, unit="s", anchor="kept; not part of cold")
    requirements = Installer(variables).lock(_model.REQUIREMENTS, "3.11")
    with RegistryProcess(context.scratch / "registry") as registry:
        bench = _Bench(context.scratch, registry.host, base, requirements)
        built, took = bench.cold("first", f"{registry.host}/iris:cold")
        yield frame.at_most("cold", took, 4.0, unit="s", anchor=COLD)
        times = [
            bench.changed(number)
            for number in range(1, 1 + (QUICK_CHANGES if context.quick else CHANGES))
        ]
        median = statistics.median(times) * 1000
        yield frame.at_most("model changed, median", median, 50.0, unit="ms", anchor=CHANGED)
        yield frame.informs("model changed, most", max(times) * 1000, unit="ms")
        again, took = bench.cold("second", f"{registry.host}/iris:again")
        yield frame.informs("rebuilt from nothing", took, unit="s")
        yield frame.at_least("rebuilt: same digest", float(again.digest == built.digest), 1)
        yield frame.informs("image", built.size_bytes / 2**20, unit="MiB")
        serving = Installer(variables).lock(_model.SERVING, "3.11")
        able = _Bench(context.scratch, registry.host, base, serving)
        able.cold("able", f"{registry.host}/iris:able")
        yield from _podman(f"{registry.host}/iris:able")
        yield from _kubelet(context.scratch / "node", f"{registry.host}/iris:able")
        if not context.options.get("no_peer"):
            yield from _buildah(bench, built)


def _base(scratch: Path) -> tuple[Path, float]:
    """Returns a folder of layers that holds the base and nothing else, and how long that took."""
    folder = scratch / "base"
    return folder, _model.base_layers(folder)


class _Bench:
    """Builds and pushes."""

    def __init__(self, scratch: Path, host: str, base: Path, requirements: str) -> None:
        self.scratch = scratch
        self.host = host
        self.requirements = requirements
        self._base = base
        self.models = [_model.files(number) for number in range(CHANGES + 1)]
        self.builder: Builder | None = None
        self._registry: distribution.Registry | None = None

    def recipe(self, number: int) -> Recipe:
        """Returns the recipe of a model."""
        return Recipe(name="iris", files=self.models[number], requirements=self.requirements)

    def cold(self, name: str, image: str) -> tuple[Built, float]:
        """Builds and pushes with nothing but the base at hand."""
        folder = self.scratch / name
        shutil.copytree(self._base, folder)
        variables = _model.environment({"UV_CACHE_DIR": str(self.scratch / f"uv-{name}")})
        builder = Builder(folder, variables)
        registry = distribution.Registry(distribution.parse(image), variables)
        began = time.perf_counter()
        built = builder.build(self.recipe(0))
        registry.push(built.layers, built.config, built.manifest, tags=(registry.reference.tag,))
        took = time.perf_counter() - began
        if self.builder is None:
            self.builder, self._registry = builder, registry
        return built, took

    def changed(self, number: int) -> float:
        """Builds and pushes another model in the process that built the first."""
        assert self.builder is not None
        assert self._registry is not None
        began = time.perf_counter()
        built = self.builder.build(self.recipe(number))
        tags = (f"v{number}",)
        digest = self._registry.push(built.layers, built.config, built.manifest, tags=tags)
        took = time.perf_counter() - began
        found, _ = self._registry.manifest(f"v{number}")
        assert found == digest, "the registry has another manifest"
        return took


def _podman(image: str) -> Iterator[frame.Figure]:
    """Runs the image under podman and asks it its examples."""
    if not Containers.has("podman"):
        print("podman is not installed: not run")
        return
    podman = Containers("podman")
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        port = chosen.getsockname()[1]
    try:
        podman.run("pull", "--tls-verify=false", image)
        began = time.perf_counter()
        container = podman.start(image, port)
        labels = _answers(port, _model.onnx(0)[1])
        took = time.perf_counter() - began
        podman.remove(container)
    finally:
        podman.close()
    yield frame.at_least("runs under podman", float(labels), 1)
    yield frame.informs("podman run to first answer", took, unit="s", anchor="1.2 to 1.8 s")


def _kubelet(folder: Path, image: str) -> Iterator[frame.Figure]:
    """Runs the image as a pod of a real node, and asks it its examples at the pod's address."""
    why = kubelet.missing() or ", ".join(building.missing(building.PLANE))
    if why:
        print(f"a real kubelet: not run: {why}")
        return
    made = plane.create(folder / "real")
    try:
        node = kubelet.create(made)
        try:
            began = time.perf_counter()
            right = _in_a_pod(api_of(made.kubeconfig, made.folder.name), image)
            took = time.perf_counter() - began
        finally:
            node.stop()
    finally:
        made.stop()
    yield frame.at_least("runs on the real kubelet", float(right), 1)
    yield frame.informs("pod made to first answer", took, unit="s", anchor="pulled cold")


def _in_a_pod(api: Api, image: str) -> bool:
    """Returns whether a pod of an image answers the examples rightly."""
    path = "/api/v1/namespaces/default/pods"
    container = {"name": "model", "image": image, "env": [{"name": "PORT", "value": "8080"}]}
    spec = {"automountServiceAccountToken": False, "containers": [container]}
    api.call("POST", path, body={"metadata": {"name": "model"}, "spec": spec})
    end = time.monotonic() + ANSWER_SECONDS_MAX
    while not (address := api.call("GET", f"{path}/model")["status"].get("podIP")):
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return _answers(8080, _model.onnx(0)[1], host=str(address))


def _answers(port: int, example: dict[str, object], host: str = "127.0.0.1") -> bool:
    """Returns whether a server answers the examples rightly, once it answers at all."""
    rows: list[list[float]] = example["rows"]  # type: ignore[assignment]
    tensor = {"name": "features", "shape": [len(rows), 4], "datatype": "FP64"}
    body = json.dumps({"inputs": [{**tensor, "data": [v for row in rows for v in row]}]}).encode()
    url = f"http://{host}:{port}/v2/models/iris/infer"
    end = time.monotonic() + ANSWER_SECONDS_MAX
    while True:
        try:
            with urllib.request.urlopen(url, body, timeout=5) as response:
                outputs = {o["name"]: o["data"] for o in json.load(response)["outputs"]}
                return bool(outputs["label"] == example["labels"])
        except OSError:
            if time.monotonic() > end:
                return False
            time.sleep(0.02)


def _buildah(bench: _Bench, built: Built) -> Iterator[frame.Figure]:
    """Builds the same with buildah: a base, pip, the model, and a push; then with another model."""
    if not Containers.has("buildah"):
        print("buildah is not installed: not run")
        return
    folder = bench.scratch / "context"
    assert bench.builder is not None
    write_context(built, bench.recipe(0), bench.builder.base(bench.recipe(0)), folder)
    buildah = Containers("buildah")
    image = f"{bench.host}/peer:1"
    try:
        took = _build_and_push(buildah, folder, image)
        yield frame.informs("buildah, Dockerfile of ours, cold", took, unit="s", anchor=COLD)
        model = next(folder.glob("*-model.tar"))
        model.write_bytes(images.pack(bench.models[1]))
        took = _build_and_push(buildah, folder, image)
        yield frame.informs("buildah, model changed", took * 1000, unit="ms", anchor=CHANGED)
    finally:
        buildah.close()


def _build_and_push(buildah: Containers, folder: Path, image: str) -> float:
    began = time.perf_counter()
    buildah.run("bud", "-q", "--layers", "--isolation", "chroot", "-t", image, str(folder))
    buildah.run("push", "--tls-verify=false", image)
    return time.perf_counter() - began
