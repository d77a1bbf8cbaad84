"""The public Python face of Berth; nothing lives here.

>>> from berth import Pipeline, etl, serve, train
>>> churn = Pipeline("churn", deadline="daily 06:00 Europe/Paris", keep=0.95, tasks=[
...     etl("etl", volume="412 GiB"), train("train", after="etl"),
...     serve("serve", after="train", p99="50 ms")])

`Client().plan(churn)` asks the running engine for a plan.
"""

from api.client import (
    Client,
    Pipeline,
    PlanHandle,
    Task,
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
    "UnreachableError",
    "WorldChangedError",
    "etl",
    "evaluate",
    "features",
    "package",
    "serve",
    "train",
]
