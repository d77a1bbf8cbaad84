"""Networks to weights that need no class of ours: ONNX, or torch's exported program.

torch's new exporter to ONNX wants a compiler of its own (onnxscript); the older one, which traces,
does without, and networks of the templates are written so that it can. Both forms must answer the
examples as the network does.
"""

from __future__ import annotations

import importlib
import io
import warnings
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from engine.model.errors import DamagedError
from executors.training.operations.template import WeightsFormat

torch: Any = importlib.import_module("torch")
INPUT = "features"
OUTPUTS = ("label", "probabilities")
_OPSET = 17
_TOLERANCE = 1e-4
_ROWS_MAX = 10_000
Rows = NDArray[np.float32]


def export(network: Any, rows: Rows, wanted: WeightsFormat) -> bytes:  # noqa: ANN401 - a module
    """Return a network that answers rows with labels and probabilities, as bytes.

    rows: (n, features), n above 1; examples on which both forms must agree.

    Raises:
        DamagedError: when the stored form answers otherwise.
    """
    network.eval()
    sample = torch.from_numpy(rows)
    with torch.no_grad():
        labels, probabilities = (found.numpy() for found in network(sample))
    data = _onnx(network, sample) if wanted is WeightsFormat.ONNX else _program(network, sample)
    again = _answers(data, rows, wanted)
    same = np.array_equal(again[0], labels)
    if not same or not np.allclose(again[1], probabilities, atol=_TOLERANCE, rtol=_TOLERANCE):
        raise DamagedError("the exported network answers otherwise", fix="report this")
    return data


def _onnx(network: Any, sample: Any) -> bytes:  # noqa: ANN401 - a module, a tensor
    target = io.BytesIO()
    with warnings.catch_warnings():
        # That it is the older exporter is known.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (sample,),
            target,
            input_names=[INPUT],
            output_names=list(OUTPUTS),
            dynamic_axes={name: {0: "rows"} for name in (INPUT, *OUTPUTS)},
            opset_version=_OPSET,
            dynamo=False,
        )
    return target.getvalue()


def _program(network: Any, sample: Any) -> bytes:  # noqa: ANN401 - as above
    rows = torch.export.Dim("rows", min=1, max=_ROWS_MAX)
    target = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(network, (sample,), dynamic_shapes=({0: rows},))
        program.example_inputs = None  # torch keeps them as a pickle, which no policy lets through
        torch.export.save(program, target)
    return target.getvalue()


def _answers(data: bytes, rows: Rows, wanted: WeightsFormat) -> list[NDArray[Any]]:
    """Return what the stored form answers."""
    if wanted is WeightsFormat.ONNX:
        session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
        return [np.asarray(each) for each in session.run(list(OUTPUTS), {INPUT: rows})]
    module = torch.export.load(io.BytesIO(data)).module()
    with torch.no_grad():
        return [found.numpy() for found in module(torch.from_numpy(rows))]
