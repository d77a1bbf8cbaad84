"""A model that somebody uploads: a packaged image as a tar, or a bare ONNX file.

Nothing of it is executed: packages hold ONNX or skops with trusted types only. It is unpacked and
opened in a confined process first (`trials`); links, devices and paths that leave a tar are
refused, and so is what unpacks to more than the limit. A bare ONNX file is served with features by
position.
"""

from __future__ import annotations

import io
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from engine.model.errors import BerthError, RefusedError
from executors.packaging import images
from executors.packaging.security.policies.gate import Gate
from executors.serving import models
from executors.serving.models import Feature, ServedModel
from executors.serving.runner.errors import CallError
from executors.serving.runner.trials import Trials

UNPACKED_MAX = 512 << 20
"""Bytes that a package may have unpacked."""
_FILES_MAX = 1_000
_TAR_MAGIC = b"ustar"
_TAR_MAGIC_AT = 257
_MATRIX = 2
_FORBIDDEN = 403


def load(data: bytes, gate: Gate | None = None, trials: Trials | None = None) -> ServedModel:
    """Load and check an uploaded model, once a confined process could.

    gate: the policy on what may be served, None for none.

    Raises:
        CallError: when it is none, fails on its own example, takes more than it may, or the policy
            refuses it.
    """
    if not data:
        raise CallError("the model is empty", status=422)
    if not _is_tar(data) and gate is not None:
        _allow_bare(gate)
    with tempfile.TemporaryDirectory(prefix="berth-runner-") as scratch:
        upload, layout = Path(scratch) / "upload", Path(scratch) / "layout"
        upload.write_bytes(data)
        layout.mkdir()
        (trials or Trials()).open(upload, layout)
        return _package(layout, gate) if _is_tar(data) else _onnx(data)


def open_apart(upload: str, target: str) -> dict[str, object]:
    """Open an upload; runs in the confined process. Returns what is wrong with it."""
    path, layout = Path(upload), Path(target)
    try:
        if path.is_dir():
            _package(path, None)
        elif _is_tar(data := path.read_bytes()):
            unpack(data, layout)
            _package(layout, None)
        else:
            _onnx(data)
    except CallError as error:
        return {"message": error.message, "status": error.status, "fix": error.fix}
    return {}


def _is_tar(data: bytes) -> bool:
    return data[_TAR_MAGIC_AT : _TAR_MAGIC_AT + len(_TAR_MAGIC)] == _TAR_MAGIC


def unpack(data: bytes, layout: Path) -> None:
    """Write the files of a tar below a folder.

    Raises:
        CallError: when it is no tar, or holds what a package never does.
    """
    total = 0
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            for count, entry in enumerate(archive):
                path = PurePosixPath(entry.name)
                if path.is_absolute() or ".." in path.parts or count >= _FILES_MAX:
                    raise CallError(f"the package holds {entry.name[:80]!r}", status=422)
                if entry.isdir():
                    continue
                total += entry.size
                if not entry.isfile() or total > UNPACKED_MAX:
                    text = f"{entry.name[:80]!r} of the package is no plain file, or too large"
                    raise CallError(text, status=422)
                _write(layout.joinpath(*path.parts), archive, entry)
    except (tarfile.TarError, OSError, ValueError) as error:
        raise CallError(f"the package is no tar: {error}", status=422) from error


def _write(path: Path, archive: tarfile.TarFile, entry: tarfile.TarInfo) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    reader = archive.extractfile(entry)
    path.write_bytes(reader.read() if reader is not None else b"")


def load_folder(layout: Path, gate: Gate | None = None) -> ServedModel:
    """Load and check a package from its folder; errors as of `load`."""
    with tempfile.TemporaryDirectory(prefix="berth-runner-") as scratch:
        Trials().open(layout, Path(scratch))
    return _package(layout, gate)


def _allow_bare(gate: Gate) -> None:
    """Refuse a bare file where signatures or provenance are asked for: it can have none.

    Raises:
        CallError: when the policy asks for them, or has faults.
    """
    try:
        policy = gate.policy()
    except BerthError as error:
        raise CallError(error.message, status=_FORBIDDEN, fix=error.fix) from error
    if policy.keys or policy.builders:
        text = f"policy {policy.name!r} wants signed packages, and this is a bare file"
        raise CallError(text, status=_FORBIDDEN, fix="package it and sign the package")


def _package(layout: Path, gate: Gate | None) -> ServedModel:
    # What is attached to a package stands in a layout of its own below that of the package.
    found = layout.rglob("oci-layout")
    marker = min(found, key=lambda each: (len(each.parts), each), default=None)
    if marker is None:
        fix = "send the folder of `berth`'s package task as a tar, or a .onnx file"
        raise CallError("the tar holds no `oci-layout`", status=422, fix=fix)
    try:
        digest = gate.check(marker.parent).digest if gate is not None else None
        return models.load(images.read_image(marker.parent, digest), frozenset())
    except RefusedError as error:
        raise CallError(error.message, status=_FORBIDDEN, fix=error.fix) from error
    except BerthError as error:
        raise CallError(error.message, status=422, fix=error.fix) from error


def _onnx(data: bytes) -> ServedModel:
    """Load a bare ONNX model with one input of shape [rows, width] and a whole-number label."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(
            data, sess_options=options, providers=["CPUExecutionProvider"]
        )
        width, outputs = _shape(session)
        metadata: Mapping[str, str] = session.get_modelmeta().custom_metadata_map
    except models.RUNTIME_ERRORS as error:
        text = f"the model is neither a package nor ONNX: {str(error)[:300]}"
        raise CallError(text, status=422, fix="send a tar of a package, or a .onnx file") from error
    named = [name for name in metadata.get("features", "").split(",") if name]
    names = named if len(named) == width else [f"f{index}" for index in range(width)]
    source = session.get_inputs()[0].name

    def predict(
        rows: models.Rows,
    ) -> tuple[NDArray[np.int64], NDArray[np.float32] | None]:
        found = session.run(outputs, {source: rows.astype(np.float32)})
        chances = np.asarray(found[1], dtype=np.float32) if len(outputs) > 1 else None
        return np.asarray(found[0]).reshape(len(rows)), chances

    digest = images.digest_of(data)
    model = ServedModel(
        name="uploaded",
        digest=digest,
        names=frozenset({digest}),
        features=tuple(Feature(name=n, unit="", input_unit="", factor=1.0) for n in names),
        classes=(),
        has_probabilities=len(outputs) > 1,
        family="onnx",
        factors=np.ones(width),
        predict=predict,
    )
    try:
        model.infer(np.zeros((2, width)))
    except models.RUNTIME_ERRORS as error:
        text = f"the model fails on rows of {width} zeros: {str(error)[:300]}"
        raise CallError(text, status=422) from error
    return model


def _shape(session: onnxruntime.InferenceSession) -> tuple[int, list[str]]:
    """Return how many numbers a row has, and the outputs to ask for."""
    inputs = session.get_inputs()
    shape = inputs[0].shape if len(inputs) == 1 else []
    if len(shape) != _MATRIX or not isinstance(shape[1], int) or inputs[0].type != "tensor(float)":
        found = [(each.name, each.type, each.shape) for each in inputs]
        raise ValueError(f"its inputs are {found}, expected one float tensor [rows, width]")
    outputs = [each for each in session.get_outputs() if each.type.startswith("tensor(")]
    if not outputs:
        raise ValueError("it has no output that is a tensor")
    chances = [each.name for each in outputs[1:] if each.type == "tensor(float)"]
    return shape[1], [outputs[0].name, *chances[:1]]
