"""The faithful baseline: buildah without cache, pip, a push, a pull, and a fresh container.

Its stages carry the names of the paper's tables: environment preparation, job script, image build
and push, then environment and deployment.
"""

import json
import shutil
import socket
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from benchmarks import frame
from benchmarks.packaging import _model
from benchmarks.packaging._containers import Containers
from executors.packaging.oci import bases
from executors.packaging.oci.dependencies import Installer, Wanted
from executors.packaging.oci.layers import LayerCache
from executors.packaging.runtime import serve

ANSWER_SECONDS_MAX = 60.0
_DOCKERFILE = """\
FROM scratch
ADD base.tar.gz /
COPY site /opt/berth/site
COPY serve.py /opt/berth/serve.py
COPY models /models
ENV PYTHONPATH=/opt/berth/site PYTHONDONTWRITEBYTECODE=1
ENTRYPOINT ["/usr/bin/python3.11", "/opt/berth/serve.py"]
"""


def figures(scratch: Path, host: str) -> Iterator[frame.Figure]:
    """Yields the stages of one push by buildah."""
    if not (Containers.has("buildah") and Containers.has("podman")):
        print("buildah or podman is not installed: the baseline was not run")
        return
    folder = scratch / "baseline"
    folder.mkdir()
    base = bases.find(bases.DEBIAN, LayerCache(scratch / "home" / "layers"), {})
    shutil.copyfile(str(base.layers[0].path), folder / "base.tar.gz")
    seconds: dict[str, float] = {}
    began = time.perf_counter()
    variables = _model.environment({"UV_CACHE_DIR": str(scratch / "uv-baseline")})
    wanted = Wanted(requirements="numpy\nonnxruntime\n", version="3.11")
    variables["BERTH_UV"] = ""
    variables["PATH"] = "/usr/bin:/bin"
    Installer(variables).install(wanted, folder / "site")
    seconds["environment preparation (pip)"] = time.perf_counter() - began
    began = time.perf_counter()
    _job(folder)
    seconds["job script"] = time.perf_counter() - began
    image = f"{host}/baseline:1"
    buildah, podman = Containers("buildah"), Containers("podman")
    try:
        began = time.perf_counter()
        options = ("-q", "--no-cache", "--isolation", "chroot")
        buildah.run("bud", *options, "-t", image, str(folder))
        buildah.run("push", "--tls-verify=false", image)
        seconds["image build and push"] = time.perf_counter() - began
        began = time.perf_counter()
        podman.run("pull", "--tls-verify=false", image)
        seconds["environment (pull)"] = time.perf_counter() - began
        began = time.perf_counter()
        _deploy(podman, image)
        seconds["deploy (fresh container)"] = time.perf_counter() - began
    finally:
        buildah.close()
        podman.close()
    total = sum(seconds.values())
    for name, value in seconds.items():
        share = f"{100 * value / total:.0f} %"
        yield frame.informs(f"buildah: {name}", value, unit="s", anchor=share)
    yield frame.informs("buildah: push to answer", total, unit="s", anchor="minutes in the paper")


def _job(folder: Path) -> None:
    """Writes what the image runs, and the model."""
    (folder / "Dockerfile").write_text(_DOCKERFILE)
    shutil.copyfile(str(serve.__file__), folder / "serve.py")
    (folder / "models").mkdir()
    for name, data in _model.files(1).items():
        (folder / "models" / name).write_bytes(data)


def _deploy(podman: Containers, image: str) -> None:
    """Starts the image and waits for its first answer."""
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        port = chosen.getsockname()[1]
    container = podman.start(image, port)
    tensor = {"name": "features", "shape": [1, 4], "datatype": "FP64", "data": [5, 3, 1, 0.2]}
    url = f"http://127.0.0.1:{port}/v2/models/iris/infer"
    end = time.monotonic() + ANSWER_SECONDS_MAX
    try:
        while True:
            try:
                body = json.dumps({"inputs": [tensor]}).encode()
                urllib.request.urlopen(url, body, timeout=5).close()
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.02)
            else:
                return
    finally:
        podman.remove(container)
