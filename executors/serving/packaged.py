"""A package of Berth as a runner, and what its answers say to the windows of a pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from engine.model.identifiers import Digest
from executors.packaging import images
from executors.packaging.images import Image
from executors.serving import models
from executors.serving.models import Prediction, ServedModel
from executors.serving.runtime import own
from executors.serving.runtime.runners import FREE, TensorSpec, arrange
from executors.serving.runtime.servables import Servable, inline_servable
from executors.serving.runtime.settings import ModelSettings
from executors.serving.runtime.tensors import Array
from executors.serving.v2.requests import InferAnswer, InferRequest
from executors.serving.windows import Windows

INPUT = "features"
LABEL = "label"
PROBABILITY = "probability"


class PackagedRunner:
    """Rows in the units in which requests arrive; answers `label` and, with most, `probability`.

    A model that answers values has the outputs that it names.
    """

    platform = "berth"
    stackable = True

    def __init__(self, model: ServedModel) -> None:
        self.model = model
        columns = [{"name": f.name, "unit": f.input_unit} for f in model.features]
        self.inputs: tuple[TensorSpec, ...] = (
            TensorSpec(
                name=INPUT,
                datatype="FP64",
                shape=(FREE, len(model.features)),
                columns=tuple(feature.name for feature in model.features),
                parameters={"columns": columns},
            ),
        )
        label = TensorSpec(name=LABEL, datatype="INT64", shape=(FREE,))
        shape = (FREE, len(model.classes))
        probability = TensorSpec(name=PROBABILITY, datatype="FP32", shape=shape)
        both = (label, probability)
        self.outputs: tuple[TensorSpec, ...] = both if model.has_probabilities else both[:1]
        if model.answers is not None:
            self.outputs = model.answers.outputs

    def run(self, inputs: Sequence[Array]) -> Sequence[Array]:
        """Return labels and probabilities.

        Raises:
            ValueError: when the model cannot answer these values.
        """
        try:
            if self.model.answers is not None:
                return self.model.answers.run(inputs[0] * self.model.factors)
            found = self.model.infer(inputs[0])
        except models.RUNTIME_ERRORS as error:
            raise ValueError(str(error)) from error
        if found.probabilities is None:
            return (found.labels,)
        return found.labels, found.probabilities


class WindowObserver:
    """Tells the windows of a pipeline what its model answered."""

    def __init__(self, windows: Windows) -> None:
        self._windows = windows

    def answered(
        self, servable: Servable, request: InferRequest, answer: InferAnswer, latency_ms: float
    ) -> None:
        """Count an answer, with the rows as the model saw them."""
        runner = servable.runner
        if not isinstance(runner, PackagedRunner):
            return
        named = answer.outputs if runner.model.answers is None else ()
        labels = next((o.array for o in named if o.spec.name == LABEL), None)
        rows = arrange(runner, request.tensors)[0] * runner.model.factors
        found = Prediction(
            labels=np.zeros(0, np.int64) if labels is None else labels,
            probabilities=None,
            rows=rows,
        )
        self._windows.answered(answer.request_id, found, latency_ms)

    def failed(self) -> None:
        """Count a request that was not answered."""
        self._windows.failed()


def open_package(folder: Path, leave: str = "") -> PackagedRunner:
    """Load the newest package of a layout; it has answered its own example.

    leave: digest of the package whose pickle may be loaded; it is that one, then.

    Raises:
        DamagedError: when the package is not what it says it is.
        RefusedError: when it holds another pickle.
    """
    image = images.read_image(folder, leave or None)
    return PackagedRunner(models.load(image, frozenset(), pickle=leave))


def open_unpacked(folder: Path, digest: str) -> PackagedRunner:
    """Load a package with a class of its own, unpacked, in a process that is confined.

    digest: of the package; "" where the process is not confined.

    Raises:
        DamagedError: when the package is not what it says it is.
        RefusedError: when the process is not confined.
    """
    if not digest:
        raise own.refused()
    image = Image(digest=Digest(digest), labels={}, files=own.read(folder))
    return PackagedRunner(models.load(image, frozenset(), unpacked=folder))


def servable_of(name: str, model: ServedModel) -> Servable:
    """Return a package as a version in service."""
    found = inline_servable(
        name, model.digest, PackagedRunner(model), ModelSettings(), aliases=model.names
    )
    found.described |= {"family": model.family, "digests": sorted(model.names)}
    if model.pickle:
        found.described["pickle"] = model.pickle
    return found
