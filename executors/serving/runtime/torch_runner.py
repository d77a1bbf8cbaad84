"""Models of torch as exported programs (`model.pt2`) or TorchScript (`model.pt`); extra `torch`.

Neither format executes Python on loading. What torch does not say of a model (names, types and
free sizes of its tensors) stands in `model.json` as `inputs` and `outputs`.
"""

from __future__ import annotations

import importlib
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engine.model.errors import DamagedError
from executors.serving.runtime.runners import FREE, TensorSpec
from executors.serving.runtime.tensors import Array

_EXPORTED = ".pt2"


class TorchRunner:
    """A model of torch on the CPU, with one thread."""

    platform = "pytorch_torchscript"

    def __init__(
        self, source: Path, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...]
    ) -> None:
        """Load a model.

        Raises:
            DamagedError: when torch is not installed, or the file holds no model of it.
        """
        if not inputs or not outputs:
            message = f"{source.name} does not say its inputs and outputs"
            raise DamagedError(message, fix="write them to model.json beside it")
        self._torch = _torch()
        self._torch.set_num_threads(1)
        self.inputs = inputs
        self.outputs = outputs
        self.stackable = all(s.shape and s.shape[0] == FREE for s in (*inputs, *outputs))
        try:
            if source.suffix == _EXPORTED:
                self.platform = "pytorch_export"
                self._call = self._torch.export.load(str(source)).module()
            else:
                self._call = self._torch.jit.load(str(source), map_location="cpu").eval()
        except Exception as error:  # torch raises whatever its readers raise
            message = f"{source.name} is no model of torch: {error}"
            raise DamagedError(message, fix="export the model again") from error

    def run(self, inputs: Sequence[Array]) -> Sequence[Array]:
        """Return the outputs.

        Raises:
            ValueError: when the model cannot answer these values.
        """
        torch = self._torch
        try:
            with torch.inference_mode():
                tensors = [torch.from_numpy(np.array(array)) for array in inputs]
                found = self._call(*tensors)
        except (RuntimeError, TypeError, IndexError, AssertionError) as error:
            raise ValueError(str(error).partition("\n")[0]) from error
        answers = found if isinstance(found, tuple | list) else (found,)
        if len(answers) != len(self.outputs):
            message = f"the model gave {len(answers)} outputs, model.json says {len(self.outputs)}"
            raise ValueError(message)
        return [answer.numpy() for answer in answers]


def program(data: bytes) -> Callable[[Sequence[Array]], list[Array]]:
    """Return the function that runs an exported program with one thread.

    Raises:
        DamagedError: when torch is not installed, or the bytes hold no program of it.
    """
    torch = _torch()
    torch.set_num_threads(1)
    try:
        call = torch.export.load(io.BytesIO(data)).module()
    except Exception as error:  # torch raises whatever its readers raise
        message = f"the package holds no model of torch: {error}"
        raise DamagedError(message, fix="export the model again") from error

    def run(inputs: Sequence[Array]) -> list[Array]:
        try:
            with torch.inference_mode():
                found = call(*[torch.from_numpy(array) for array in inputs])
        except (RuntimeError, TypeError, IndexError, AssertionError) as error:
            raise ValueError(str(error).partition("\n")[0]) from error
        answers = found if isinstance(found, tuple | list) else (found,)
        return [answer.numpy() for answer in answers]

    return run


def _torch() -> Any:  # noqa: ANN401 - torch is optional and its types are not followed
    try:
        return importlib.import_module("torch")
    except ImportError as error:
        message = "torch is not installed, so its models cannot be served"
        raise DamagedError(message, fix="pip install 'berth[torch]', or export ONNX") from error
