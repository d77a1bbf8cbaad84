"""Models of torch as exported programs (`model.pt2`) or TorchScript (`model.pt`); extra `torch`.

Neither format executes Python on loading: an exported program may hold pickles (sample inputs, odd
weights), of which torch is held to those that are tensors alone. What torch does not say of a model
(names, types and free sizes of its tensors) stands in `model.json` as `inputs` and `outputs`. A
model runs on the first GPU that its process may see, else on the processor.
"""

from __future__ import annotations

import importlib
import io
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engine.model.errors import DamagedError
from executors.serving.runtime.runners import FREE, TensorSpec
from executors.serving.runtime.tensors import Array

Call = Callable[[Sequence[Array]], list[Array]]
_EXPORTED = ".pt2"
_TENSORS_ONLY = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
"""Torch's own switch; without it, it loads what is not by running it."""
_OBJECT = "opaque_obj"
"""Begins the names of pickles that torch would load in any case."""


class TorchRunner:
    """A model of torch, with one thread where it runs on the processor."""

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
        self.inputs = inputs
        self.outputs = outputs
        self.stackable = all(s.shape and s.shape[0] == FREE for s in (*inputs, *outputs))
        if source.suffix == _EXPORTED:
            self.platform = "pytorch_export"
            self._call = _loaded(_exported, str(source), source.name)
        else:
            self._call = _loaded(_scripted, str(source), source.name)

    def run(self, inputs: Sequence[Array]) -> Sequence[Array]:
        """Return the outputs.

        Raises:
            ValueError: when the model cannot answer these values.
        """
        answers = self._call([np.array(array) for array in inputs])
        if len(answers) != len(self.outputs):
            message = f"the model gave {len(answers)} outputs, model.json says {len(self.outputs)}"
            raise ValueError(message)
        return answers


def program(data: bytes) -> Call:
    """Return the function that runs an exported program, with one thread on the processor.

    Raises:
        DamagedError: when torch is not installed, or the bytes hold no program of it.
    """
    return _loaded(_exported, io.BytesIO(data), "the package's model")


def _loaded(load: Callable[[Any, Any, str], Any], source: Any, name: str) -> Call:  # noqa: ANN401 - a path or a stream
    """Return the function that runs a model: arrays in, arrays out.

    Raises:
        DamagedError: when torch is not installed, or the source holds no model of it.
    """
    torch = _torch()
    torch.set_num_threads(1)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        call = load(torch, source, device)
    except Exception as error:  # torch raises whatever its readers raise
        message = f"{name} is no model of torch: {error}"
        raise DamagedError(message, fix="export the model again") from error

    def run(inputs: Sequence[Array]) -> list[Array]:
        try:
            with torch.inference_mode():
                found = call(*[torch.from_numpy(array).to(device) for array in inputs])
        except (RuntimeError, TypeError, IndexError, AssertionError) as error:
            raise ValueError(str(error).partition("\n")[0]) from error
        answers = found if isinstance(found, tuple | list) else (found,)
        return [answer.cpu().numpy() for answer in answers]

    return run


def _exported(torch: Any, source: Any, device: str) -> Any:  # noqa: ANN401 - torch's types are not followed
    """Return an exported program on a device; it was exported on a processor.

    Raises:
        ValueError: when it holds objects other than tensors.
    """
    reader = torch._C.PyTorchFileReader(source)  # noqa: SLF001 - which `load` reads by, too
    names: list[str] = reader.get_all_records()
    if any(name.rpartition("/")[2].startswith(_OBJECT) for name in names):
        raise ValueError("it holds objects that are pickles")
    if isinstance(source, io.BytesIO):
        source.seek(0)
    os.environ[_TENSORS_ONLY] = "1"
    found = torch.export.load(source)
    if device != "cpu":
        passes: Any = importlib.import_module("torch.export.passes")
        found = passes.move_to_device_pass(found, device)
    return found.module()


def _scripted(torch: Any, source: Any, device: str) -> Any:  # noqa: ANN401 - torch's types are not followed
    """Return a model in TorchScript on a device."""
    return torch.jit.load(source, map_location=device).eval()


def _torch() -> Any:  # noqa: ANN401 - torch is optional and its types are not followed
    try:
        return importlib.import_module("torch")
    except ImportError as error:
        message = "torch is not installed, so its models cannot be served"
        raise DamagedError(message, fix="pip install 'berth[torch]', or export ONNX") from error
