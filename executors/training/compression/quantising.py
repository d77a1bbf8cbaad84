"""ONNX networks with weights and values of 8 bits, calibrated on real rows."""

from __future__ import annotations

import importlib
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from executors.training.compression.export import INPUT

quantization: Any = importlib.import_module("onnxruntime.quantization")
_BATCH = 64


class _Rows:
    """Rows as onnxruntime's calibration wants them."""

    def __init__(self, rows: NDArray[np.float32]) -> None:
        self._left: Iterator[NDArray[np.float32]] = iter(
            [rows[start : start + _BATCH] for start in range(0, len(rows), _BATCH)]
        )

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        """Return the next rows, None after the last."""
        rows = next(self._left, None)
        return None if rows is None else {INPUT: rows}


def quantised(data: bytes, rows: NDArray[np.float32]) -> bytes:
    """Return a network in 8 bits; `rows` show which values occur."""
    logger = logging.getLogger()
    level = logger.level
    with tempfile.TemporaryDirectory() as folder:
        whole, small = Path(folder) / "whole.onnx", Path(folder) / "small.onnx"
        whole.write_bytes(data)
        try:
            logger.setLevel(logging.ERROR)  # it recommends a preparation that a row does not need
            quantization.quantize_static(
                str(whole),
                str(small),
                _Rows(rows),
                quant_format=quantization.QuantFormat.QDQ,
                per_channel=True,
            )
        finally:
            logger.setLevel(level)
        return small.read_bytes()
