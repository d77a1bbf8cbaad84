"""What is refused of pickles, and how one is loaded: by leave, in a confined process of its own.

The policy gives leave for one signed image (`packaging.security.policies`). The server asks it;
what gets here is the digest for which leave was given, and other bytes are not loaded.
"""

from __future__ import annotations

import pickle
from typing import Any

from engine.model.errors import DamagedError, RefusedError

CODE = "P001"
WAY = (
    "convert it to ONNX or skops; or package it, sign the package, and let an administrator list "
    "its digest under `pickle` of the policy"
)


def refused(name: str) -> RefusedError:
    """Return why a pickle is not loaded, and the way to have it loaded."""
    return RefusedError(
        f"{name!r} is a pickle, which runs code when it is loaded", fix=WAY, code=CODE
    )


def load(data: bytes) -> Any:  # noqa: ANN401 - any estimator
    """Return the estimator of a pickle, which runs what stands in it.

    Raises:
        DamagedError: when it cannot be loaded, or cannot predict.
    """
    try:
        model: Any = pickle.loads(data)  # noqa: S301 - by leave, see above
    except Exception as error:  # it is code, and raises what it likes
        message = f"model.pkl cannot be loaded: {error!r}"
        raise DamagedError(message, fix="pickle it with the library that is here") from error
    if not hasattr(model, "predict"):
        message = f"model.pkl holds a {type(model).__name__}, which cannot predict"
        raise DamagedError(message, fix="package a classifier or regressor")
    return model
