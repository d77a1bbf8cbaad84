"""Berth's own image in the registry of a real node, its layers kept once a machine."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from executors.packaging.oci import distribution, own
from executors.packaging.oci.layers import LayerCache

LAYERS = Path("~/.cache/berth/base-layers").expanduser()
TASKS = ("psutil",)
"""What a task needs that runs a command of its own."""
SERVING = (
    "psutil",
    "pydantic",
    "numpy",
    "onnxruntime",
    "msgspec",
    "uvicorn",
    "uvloop",
    "httptools",
    "starlette",
    "python-multipart",
    "cryptography",
)
"""What a server needs besides."""
TRAINING = (
    "psutil",
    "msgspec",
    "numpy",
    "scikit-learn",
    "scipy",
    "skl2onnx",
    "skops",
    "onnxruntime",
    "cryptography",
    "pydantic",
)
"""What the built-in tasks of a classifier need."""


def push(registry: str, only: tuple[str, ...] | None) -> str:
    """Build the image, and push it; return how nodes pull it."""
    environment = _variables()
    built = own.build(LayerCache(LAYERS), environment, only)
    where = distribution.parse(f"{registry}/berth:test")
    target = distribution.Registry(where, environment)
    try:
        target.push(built.layers, built.config, built.manifest, tags=("test",))
    finally:
        target.close()
    return f"{registry}/berth@{built.digest}"


def missing() -> str:
    """Return why the image cannot be made here; "" when it can."""
    if shutil.which("mmdebstrap") is None:
        return "an image needs: apt install mmdebstrap"
    return ""


def _variables() -> dict[str, str]:
    """Return the environment of a build; uv fetches what is not kept yet."""
    return {**os.environ}
