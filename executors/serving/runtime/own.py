"""Packages with a class of one's own: code, which runs in a process that confined itself.

Such a process can write nothing, so whoever starts it unpacks the package for it, into a folder
that holds `models/` as the image does. There the program of the image loads the class.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from engine.model.errors import DamagedError, RefusedError
from executors.packaging import images
from executors.packaging.runtime import serve
from executors.serving.runtime.tensors import Array

FOLDER = "models"
FORMAT = "python"
Named = Callable[[Array], Mapping[str, Array]]


class Unpacked:
    """The newest package of a layout, or the one of a digest, unpacked; `remove` it.

    Raises:
        DamagedError: when the package is not what it says it is.
    """

    def __init__(self, layout: Path, digest: str = "") -> None:
        image = images.read_image(layout, digest or None)
        self.digest = image.digest
        self._scratch = tempfile.TemporaryDirectory(prefix="berth-model-")
        self.folder = Path(self._scratch.name)
        write(image.files, self.folder)

    def remove(self) -> None:
        """Remove the files; nothing happens the second time."""
        self._scratch.cleanup()


def is_own(layout: Path) -> bool:
    """Say whether the newest package of a layout says that it has a class of its own.

    Raises:
        DamagedError: when it is no layout.
    """
    return images.newest_labels(layout).get(images.FORMAT) == FORMAT


def write(files: Mapping[str, bytes], folder: Path) -> None:
    """Write the files of a package as they stand in its image."""
    for name, data in files.items():
        path = folder / FOLDER / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def as_it_is(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return a package that is asked in its own units: whoever asks it converts before."""
    metadata: dict[str, Any] = json.loads(files["metadata.json"])
    metadata["features"] = [{**feature, "factor": 1.0} for feature in metadata["features"]]
    return {**files, "metadata.json": images.canonical(metadata)}


def read(folder: Path) -> dict[str, bytes]:
    """Return the files of an unpacked package but for its weights and code."""
    names = ("metadata.json", "example.json")
    return {name: (folder / FOLDER / name).read_bytes() for name in names}


def load(folder: Path) -> Named:
    """Load the class of an unpacked package, which runs its code; only where that is confined.

    Raises:
        DamagedError: when it cannot be loaded.
    """
    try:
        model = serve.Model(folder / FOLDER)
    except Exception as error:  # it is code, and raises what it likes
        message = f"the class of the package cannot be loaded: {error!r}"
        fix = "see whether its libraries are where it is served"
        raise DamagedError(message, fix=fix) from error

    def answer(rows: Array) -> Mapping[str, Array]:
        try:
            return model.predict(rows)
        except ValueError:
            raise
        except Exception as error:
            raise RuntimeError(f"the class failed: {error!r}") from error

    return answer


def refused() -> RefusedError:
    """Return why a class of one's own is not loaded where it would not be confined."""
    return RefusedError(
        "the package has a class of its own, which is code and runs in a process of its own only",
        fix="serve the package with `berth serve`, or in a pipeline",
    )
