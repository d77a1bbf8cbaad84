"""The model that is packaged: a logistic regression on iris, as ONNX, in a git repository."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import skl2onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from executors.packaging.oci import bases, dependencies
from executors.packaging.oci.layers import LayerCache

FEATURES = ("sepal_length", "sepal_width", "petal_length", "petal_width")
REQUIREMENTS = "numpy\nscikit-learn\nuvicorn\n"
"""Of the image whose time is an anchor."""
SERVING = REQUIREMENTS + "onnxruntime\n"
"""What the image needs besides to serve its model, which is ONNX."""
PEERS = Path("~/.cache/berth/peers").expanduser()
LAYERS = Path("~/.cache/berth/base-layers").expanduser()


def onnx(number: int) -> tuple[bytes, dict[str, object]]:
    """Returns a model and its examples; each number gives another model with other answers."""
    rows, labels = load_iris(return_X_y=True)
    shifted = (labels + number) % 3
    model = LogisticRegression(max_iter=400, C=1.0 + number % 7).fit(rows, shifted)
    options = {id(model): {"zipmap": False}}
    types = [("features", FloatTensorType([None, 4]))]
    converted = skl2onnx.to_onnx(model, initial_types=types, options=options, target_opset=17)
    picked = rows[::10]
    answers = np.asarray(model.predict(picked)).tolist()
    return converted.SerializeToString(), {"rows": picked.tolist(), "labels": answers}


def files(number: int) -> dict[str, bytes]:
    """Returns the files of a model's layer."""
    data, example = onnx(number)
    columns = [{"name": n, "unit": "cm", "input_unit": "cm", "factor": 1.0} for n in FEATURES]
    metadata = {"name": "iris", "family": "logistic", "file": "model.onnx", "format": "onnx"}
    metadata |= {"features": columns, "classes": [0, 1, 2], "probabilities": True}  # type: ignore[dict-item]
    return {
        "model.onnx": data,
        "metadata.json": json.dumps(metadata).encode(),
        "example.json": json.dumps(example).encode(),
    }


def base_layers(target: Path) -> float:
    """Puts the base into a folder of layers; returns how long laying it out took, 0 if kept."""
    began = time.perf_counter()
    kept = LAYERS / "blobs"
    was_there = kept.exists()
    bases.find(bases.DEBIAN, LayerCache(LAYERS), {})
    took = time.perf_counter() - began
    shutil.copytree(LAYERS, target, dirs_exist_ok=True)
    return 0.0 if was_there else took


def uv() -> str | None:
    """Returns uv, installed into an environment of its own where the machine has none."""
    found = dependencies.find_uv(os.environ)
    if found:
        return found
    folder = PEERS / "uv"
    program = folder / "bin" / "uv"
    if not program.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        pip = [str(folder / "bin" / "pip"), "install", "-q", "uv"]
        if subprocess.run(pip, check=False).returncode:
            shutil.rmtree(folder)
            return None
    return str(program)


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Returns the environment of a build, with uv where it is."""
    found = uv()
    variables = {**os.environ, **(extra or {})}
    return {**variables, "BERTH_UV": found} if found else variables
