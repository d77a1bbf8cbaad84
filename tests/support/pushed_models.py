"""A model in a repository, its server, and all that a delivery needs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import skl2onnx
from numpy.typing import NDArray
from skl2onnx.common.data_types import FloatTensorType
from sklearn.linear_model import LogisticRegression

from engine.clocks import SystemClock
from engine.model.dispatches import Deployment
from engine.model.errors import UnreachableError
from engine.model.identifiers import Digest
from executors.packaging.repository import starting, weights
from executors.packaging.repository.delivery import Delivered, Delivery
from tests.support import lent_libraries

ROWS: NDArray[np.float64] = np.array([[0.0, 0.0], [1.0, 1.0], [0.2, 0.1], [0.9, 0.8]])
TOML = """\
name = "churn"
format = "onnx"
file = "model.onnx"
features = ["x0", "x1"]
[deploy]
production = "http://127.0.0.1:1"
promote = "when tests pass"
"""


class Servers:
    """Stands for model servers: remembers what each was told to serve."""

    def __init__(self) -> None:
        self.swaps: list[Digest] = []
        self.is_down = False

    def swap(self, deployment: Deployment) -> Digest:
        """Serve another package."""
        if self.is_down:
            raise UnreachableError("the server is down")
        self.swaps.append(deployment.wanted)
        return deployment.wanted


def onnx(*, flipped: bool = False) -> tuple[bytes, list[int]]:
    """Return a model and its answers to ROWS."""
    labels = np.array([0, 1, 0, 1]) ^ int(flipped)
    model = LogisticRegression(C=100.0).fit(ROWS, labels)
    types = [("features", FloatTensorType([None, 2]))]
    options = {id(model): {"zipmap": False}}
    found = skl2onnx.to_onnx(model, initial_types=types, options=options, target_opset=17)
    return found.SerializeToString(), model.predict(ROWS).tolist()


class World:
    """A data folder with one model, whose base is a file instead of Debian's packages."""

    def __init__(self, folder: Path, servers: Servers) -> None:
        self.servers = servers
        self.folder = folder
        self.home = folder / "home"
        self.work = folder / "churn"
        self.delivery = Delivery(self.home, servers, SystemClock(), {"PATH": "/usr/bin:/bin"})
        repository = self.delivery.create("churn")
        starting.write(self.work, "churn", repository)
        (repository / "hooks" / "post-receive").unlink()
        lent_libraries.lend(self.home / "layers")
        self.write("requirements.txt", lent_libraries.REQUIREMENTS)
        self.write("model.toml", TOML)
        self.train()

    def write(self, name: str, text: str) -> None:
        (self.work / name).write_text(text)

    def train(self, *, flipped: bool = False) -> None:
        data, labels = onnx(flipped=flipped)
        self.add("model.onnx", data)
        self.write("golden.json", json.dumps({"rows": ROWS.tolist(), "labels": labels}))

    def add(self, name: str, data: bytes) -> None:
        (self.work / name).write_bytes(data)
        weights.add(self.work, self.work / name, self.delivery.artifacts)
        starting.ignore(self.work, name)

    def push(self) -> str:
        return starting.push(self.work, "Change")[0]

    def deliver(self) -> Delivered:
        return self.delivery.deliver("churn", self.push())
