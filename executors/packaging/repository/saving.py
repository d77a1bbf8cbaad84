"""`save_model`: from a plain object at the end of a training to a folder that can be pushed.

    model = LogisticRegression().fit(rows, labels)
    save_model(model, rows[:16], "churn", name="churn")

A model of scikit-learn becomes ONNX where that agrees with it, else skops; a network of torch an
exported program; an ARIMA of statsmodels the numbers that it is made of; ONNX stays as it is. No
pickle is written. `golden.json` holds what the model answers to the rows.
"""

from __future__ import annotations

import importlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from engine.model.errors import RefusedError
from executors.packaging import images
from executors.packaging.repository import settings
from executors.packaging.repository.settings import Format

Rows = NDArray[np.float64]
_ROWS_MAX = 256
_AGREEMENT_MIN = 0.99
_ROWS_AT_ONCE_MAX = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Saved:
    """A model as it is kept: its weights, what it answers, and what it needs to run.

    answers: `labels`, or outputs by name, each with one answer a row.
    """

    kind: Format
    file: str
    data: bytes
    answers: Mapping[str, Any]
    libraries: Sequence[str]
    has_labels: bool = field(default=False)


def save_model(
    model: object,
    rows: Any,  # noqa: ANN401 - whatever numpy makes an array of
    folder: str | Path,
    *,
    name: str,
    features: Sequence[str] = (),
) -> Path:
    """Write a model with its examples into a folder, ready for `berth model add` and `push`.

    Args:
        model: An estimator of scikit-learn, a module of torch, fitted ARIMA results of
            statsmodels, or ONNX (a `ModelProto` or its bytes).
        rows: Some inputs, shape (n, features); of an ARIMA, steps ahead. At most 256 are kept.
        folder: Made where it is missing. `model.toml` and `requirements.txt` are kept where they
            are there; weights and `golden.json` are replaced.
        name: Of the model: small letters, digits and - . _.
        features: Names of the columns; `x0`, `x1`, ... without.

    Returns:
        The file of the weights.

    Raises:
        RefusedError: when the model is of another kind, or rows or names do not fit.
    """
    given = np.asarray(rows, dtype=np.float64)
    if given.ndim != 2 or not len(given):  # noqa: PLR2004 - rows and columns
        message = f"`rows` has the shape {given.shape}, expected (n, features)"
        raise RefusedError(message, fix="give some rows of the training data")
    columns = list(features) or [f"x{number}" for number in range(given.shape[1])]
    if len(columns) != given.shape[1] or not settings.NAME.match(name):
        message = f"{len(columns)} features for {given.shape[1]} columns, or {name!r} is no name"
        raise RefusedError(message, fix="name each column once; names have small letters")
    saved = _saved(model, given[:_ROWS_MAX])
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    images.write_file(place / saved.file, saved.data)
    listed = [[None if np.isnan(v) else float(v) for v in row] for row in given[:_ROWS_MAX]]
    answers = saved.answers if saved.has_labels else {"outputs": saved.answers}
    content = json.dumps({"rows": listed, **answers})
    images.write_file(place / settings.GOLDEN_FILE, content.encode())
    _write_once(place / settings.FILE, _toml(name, saved, columns))
    pinned = [f"{library}=={metadata.version(library)}" for library in saved.libraries]
    _write_once(place / settings.REQUIREMENTS_FILE, "\n".join(pinned) + "\n")
    return place / saved.file


def _saved(model: object, rows: Rows) -> _Saved:
    """Return a model in the form it is kept in, by the library it is of."""
    library = type(model).__module__.partition(".")[0]
    if isinstance(model, bytes) or library == "onnx":
        raw = model if isinstance(model, bytes) else cast("Any", model).SerializeToString()
        return _onnx(raw, rows)
    if hasattr(model, "get_params") and hasattr(model, "predict"):
        return _estimator(model, rows)
    if hasattr(model, "state_dict") and callable(model):
        return _network(model, rows)
    if library == "statsmodels" and hasattr(getattr(model, "model", None), "order"):
        return _series(model, rows)
    message = f"{type(model).__name__!r} is no model that can be saved without a pickle"
    fix = "use scikit-learn, torch, an ARIMA or ONNX; or write a class with `load` and `predict`"
    raise RefusedError(message, fix=fix)


def _onnx(data: bytes, rows: Rows) -> _Saved:
    runtime: Any = importlib.import_module("onnxruntime")
    try:
        session = runtime.InferenceSession(data, providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        found = session.run(names, {session.get_inputs()[0].name: rows.astype(np.float32)})
    except Exception as error:  # onnxruntime's errors share no base class
        message = f"the ONNX model does not answer its rows: {error}"
        raise RefusedError(message, fix="give rows with the columns of its one input") from error
    answers = {name: np.asarray(values).tolist() for name, values in zip(names, found, strict=True)}
    has_labels = "label" in answers
    return _Saved(
        kind=Format.ONNX,
        file="model.onnx",
        data=data,
        answers={"labels": answers["label"]} if has_labels else answers,
        libraries=("numpy", "onnxruntime"),
        has_labels=has_labels,
    )


def _estimator(model: Any, rows: Rows) -> _Saved:  # noqa: ANN401 - any estimator
    """Return an estimator as ONNX where both agree, else as skops."""
    predicted = np.asarray(model.predict(rows))
    if not np.issubdtype(predicted.dtype, np.number):
        message = f"the model answers {predicted.ravel()[0]!r}, which is no number"
        raise RefusedError(message, fix="train it on classes that are whole numbers")
    has_labels = bool(np.issubdtype(predicted.dtype, np.integer))
    converted = _converted(model, rows.shape[1])
    if converted is not None:
        saved = _onnx(converted, rows)
        mine = next(iter(saved.answers.values()))
        near = np.isclose(np.asarray(mine, dtype=np.float64).ravel(), predicted.ravel(), rtol=1e-3)
        if near.mean() >= _AGREEMENT_MIN:
            return saved
    skops: Any = importlib.import_module("executors.persistence").skops_io
    return _Saved(
        kind=Format.SKOPS,
        file="model.skops",
        data=skops.dumps(model),
        answers={"labels" if has_labels else "label": predicted.tolist()},
        libraries=("numpy", "scikit-learn", "skops"),
        has_labels=has_labels,
    )


def _converted(model: Any, columns: int) -> bytes | None:  # noqa: ANN401 - any estimator
    """Return an estimator as ONNX; None when skl2onnx does not know it."""
    convert: Any = importlib.import_module("executors.packaging.convert")
    pipeline: Any = importlib.import_module("sklearn.pipeline").Pipeline
    stepped = model if hasattr(model, "steps") else pipeline([("model", model)])
    return cast("bytes | None", convert.to_onnx(stepped, columns=columns))


def _network(model: Any, rows: Rows) -> _Saved:  # noqa: ANN401 - any module
    torch: Any = importlib.import_module("torch")
    model.eval()
    sample = torch.from_numpy(rows.astype(np.float32))
    shapes = ({0: torch.export.Dim("rows", min=1, max=_ROWS_AT_ONCE_MAX)},)
    buffer = io.BytesIO()
    with torch.inference_mode(mode=False), torch.no_grad():
        pair = sample if len(sample) > 1 else torch.cat([sample, sample])
        program = torch.export.export(model, (pair,), dynamic_shapes=shapes)
        program.example_inputs = None  # torch keeps them as a pickle, which no policy lets through
        torch.export.save(program, buffer)
        answers = model(sample).numpy()
    return _Saved(
        kind=Format.TORCH,
        file="model.pt2",
        data=buffer.getvalue(),
        answers={"output": answers.tolist()},
        libraries=("numpy", "torch"),
    )


def _series(results: Any, rows: Rows) -> _Saved:  # noqa: ANN401 - results of an ARIMA
    model = results.model
    steps = rows[:, 0].astype(int)
    path = np.asarray(results.forecast(max(1, int(steps.max()))))
    buffer = io.BytesIO()
    np.savez(
        buffer,
        endog=np.asarray(model.endog, dtype=np.float64).ravel(),
        order=np.array(model.order),
        seasonal_order=np.array(model.seasonal_order),
        trend=np.array(model.trend or ""),
        params=np.asarray(results.params, dtype=np.float64),
    )
    return _Saved(
        kind=Format.SERIES,
        file="model.npz",
        data=buffer.getvalue(),
        answers={"output": path[np.clip(steps, 1, len(path)) - 1].tolist()},
        libraries=("numpy", "statsmodels"),
    )


def _toml(name: str, saved: _Saved, columns: Sequence[str]) -> str:
    listed = ", ".join(json.dumps(column) for column in columns)
    head = f'name = "{name}"\nformat = "{saved.kind.value}"\nfile = "{saved.file}"\n'
    return f'{head}features = [{listed}]\n\n[deploy]\npromote = "by hand"\n'


def _write_once(path: Path, text: str) -> None:
    if not path.exists():
        path.write_text(text, encoding="utf-8")
