"""The public Python face of Berth; nothing lives here.

>>> from berth import Pipeline, etl, serve, train
>>> churn = Pipeline("churn", deadline="daily 06:00 Europe/Paris", keep=0.95, tasks=[
...     etl("etl", volume="412 GiB"), train("train", after="etl"),
...     serve("serve", after="train", p99="50 ms")])

`Client().plan(churn)` asks the running engine for a plan.

Names are imported when they are first asked for, since `python -m berth` needs none of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from api.client import (
        Client,
        Pipeline,
        PlanHandle,
        Task,
        TrainingReport,
        etl,
        evaluate,
        features,
        package,
        serve,
        train,
    )
    from engine.model.errors import (
        BerthError,
        ConflictError,
        DamagedError,
        FinalError,
        InfeasibleError,
        InvalidInputError,
        NotFoundError,
        RefusedError,
        RetryableError,
        UnreachableError,
        WorldChangedError,
    )

__all__ = [
    "BerthError",
    "Client",
    "ConflictError",
    "DamagedError",
    "FinalError",
    "InfeasibleError",
    "InvalidInputError",
    "NotFoundError",
    "Pipeline",
    "PlanHandle",
    "RefusedError",
    "RetryableError",
    "Task",
    "TrainingReport",
    "UnreachableError",
    "WorldChangedError",
    "etl",
    "evaluate",
    "features",
    "package",
    "serve",
    "train",
]


def __getattr__(name: str) -> object:
    """Return a public name from the module that it lives in."""
    if name not in __all__:
        raise AttributeError(f"module 'berth' has no attribute {name!r}")
    home = "engine.model.errors" if name.endswith("Error") else "api.client"
    return getattr(import_module(home), name)
