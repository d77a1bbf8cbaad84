"""Models of scikit-learn as pickles: see `pickles` for when one is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from executors.packaging import images
from executors.serving.runtime import pickles
from executors.serving.runtime.sklearn_runner import SklearnRunner


class PickleRunner(SklearnRunner):
    """A classifier or regressor out of a pickle; outputs as of `SklearnRunner`."""

    platform = "pickle"

    @staticmethod
    def _read(source: Path | bytes) -> Any:  # noqa: ANN401 - any estimator
        return pickles.load(source if isinstance(source, bytes) else source.read_bytes())


def open_file(file: Path, outputs: tuple[str, ...], allowed: str) -> PickleRunner:
    """Load a file whose bytes have the digest that is allowed.

    Raises:
        RefusedError: when they have another, or none is.
        DamagedError: as `pickles.load`.
    """
    data = file.read_bytes()
    if images.digest_of(data) != allowed:
        raise pickles.refused(file.name)
    return PickleRunner(data, outputs)
