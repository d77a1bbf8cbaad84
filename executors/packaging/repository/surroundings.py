"""What a model is asked with: the program of an image, libraries, a version of Python."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from executors.packaging.repository.settings import Format
from executors.packaging.runtime import serve

SERVER = Path(serve.__file__)
"""The program of an image."""
RUNNING = f"{sys.version_info.major}.{sys.version_info.minor}"
"""Version of the Python that runs here."""
_MODULES = {
    Format.ONNX: ("numpy", "onnxruntime"),
    Format.SKOPS: ("numpy", "skops.io"),
    Format.TORCH: ("numpy", "torch"),
    Format.SERIES: ("numpy", "statsmodels.tsa.arima.model"),
    Format.PYTHON: ("numpy",),
    Format.PICKLE: ("numpy", "sklearn"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a server needs of an image: kind of its model, libraries, version of Python."""

    kind: Format
    libraries: tuple[Path, ...]
    version: str

    @property
    def modules(self) -> tuple[str, ...]:
        """What is imported before the model comes."""
        return _MODULES[self.kind]
