"""Networks that are a row of layers to ONNX, and how fast each form answers.

torch's own exporter wants a compiler of its own (onnxscript) for any network; a row of layers is
written down directly.
"""

from __future__ import annotations

import importlib
import statistics
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from executors.training.compression import chains

torch: Any = importlib.import_module("torch")
onnx: Any = importlib.import_module("onnx")
onnxruntime: Any = importlib.import_module("onnxruntime")
_OPSET = 17
_IR_VERSION = 10
INPUT, OUTPUT = "input", "output"

Answer = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def to_onnx(model: Any, sample: Any) -> bytes:  # noqa: ANN401 - a module, a tensor
    """Return a network as ONNX; its first dimension, the samples, is free."""
    nodes: list[Any] = []
    weights: list[Any] = []
    name = INPUT
    for number, layer in enumerate(chains.layers(model)):
        if isinstance(layer, chains.SILENT):
            continue
        kind, attributes, tensors = _form(layer)
        names = [f"layer{number}.{key}" for key in tensors]
        weights += [
            onnx.numpy_helper.from_array(value.detach().float().cpu().numpy(), key)
            for key, value in zip(names, tensors.values(), strict=True)
        ]
        following = f"value{number}"
        node = onnx.helper.make_node(kind, [name, *names], [following], **attributes)
        nodes.append(node)
        name = following
    nodes[-1].output[0] = OUTPUT
    shape = ["samples", *sample.shape[1:]]
    model.eval()
    with torch.no_grad():
        outputs = model(sample).shape[1:]
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        nodes,
        "network",
        [value(INPUT, onnx.TensorProto.FLOAT, shape)],
        [value(OUTPUT, onnx.TensorProto.FLOAT, ["samples", *outputs])],
        weights,
    )
    opset = [onnx.helper.make_opsetid("", _OPSET)]
    found = onnx.helper.make_model(graph, opset_imports=opset, ir_version=_IR_VERSION)
    onnx.checker.check_model(found)
    return bytes(found.SerializeToString())


def _form(layer: Any) -> tuple[str, dict[str, Any], dict[str, Any]]:  # noqa: ANN401 - a module
    """Return the operator of a layer with its attributes and weights."""
    nn = chains.nn
    if isinstance(layer, nn.Conv2d):
        attributes = {
            "kernel_shape": list(layer.kernel_size),
            "strides": list(layer.stride),
            "pads": [*layer.padding, *layer.padding]
            if isinstance(layer.padding, tuple)
            else [0] * 4,
            "dilations": list(layer.dilation),
        }
        return "Conv", attributes, _weights(layer)
    if isinstance(layer, nn.Linear):
        bias = layer.bias if layer.bias is not None else torch.zeros(layer.out_features)
        return "Gemm", {"transB": 1}, {"weight": layer.weight, "bias": bias}
    if isinstance(layer, chains.NORMS):
        ones = torch.ones(layer.num_features)
        tensors = {
            "scale": ones if layer.weight is None else layer.weight,
            "shift": ones * 0 if layer.bias is None else layer.bias,
            "mean": layer.running_mean,
            "variance": layer.running_var,
        }
        return "BatchNormalization", {"epsilon": layer.eps}, tensors
    if isinstance(layer, (nn.MaxPool2d, nn.AvgPool2d)):
        pads = _pair(layer.padding)
        attributes = {
            "kernel_shape": _pair(layer.kernel_size),
            "strides": _pair(layer.stride),
            "pads": [*pads, *pads],
        }
        if isinstance(layer, nn.AvgPool2d):
            return "AveragePool", {**attributes, "count_include_pad": 1}, {}
        return "MaxPool", attributes, {}
    if isinstance(layer, nn.Flatten):
        return "Flatten", {"axis": 1}, {}
    return "Relu", {}, {}


def _weights(layer: Any) -> dict[str, Any]:  # noqa: ANN401 - a module
    found = {"weight": layer.weight}
    return found if layer.bias is None else {**found, "bias": layer.bias}


def _pair(value: int | tuple[int, int]) -> list[int]:
    return [value, value] if isinstance(value, int) else list(value)


def session(data: bytes) -> Answer:
    """Return what answers by an ONNX network, on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    running = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])

    def answer(rows: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(running.run([OUTPUT], {INPUT: rows})[0])

    return answer


def eager(model: Any) -> Answer:  # noqa: ANN401 - a module
    """Return what answers by torch as it stands."""
    model.eval()

    def answer(rows: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            return np.asarray(model(torch.from_numpy(rows)).numpy())

    return answer


def latencies(
    answers: dict[str, Answer],
    row: NDArray[np.float32],
    *,
    clock: Callable[[], float],
    times: int = 300,
) -> dict[str, float]:
    """Return the median seconds of one answer of each, asked in turn to share the noise."""
    found: dict[str, list[float]] = {name: [] for name in answers}
    for _ in range(times):
        for name, answer in answers.items():
            began = clock()
            answer(row)
            found[name].append(clock() - began)
    return {name: statistics.median(values) for name, values in found.items()}
