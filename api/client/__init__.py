"""The Python client of the engine, and builders of pipelines."""

from api.client.builders import Pipeline, Task, etl, evaluate, features, package, serve, train
from api.client.client import Client, PlanHandle
from api.client.discovery import find_engine
from executors.tasks.reporting import TrainingReport

__all__ = [
    "Client",
    "Pipeline",
    "PlanHandle",
    "Task",
    "TrainingReport",
    "etl",
    "evaluate",
    "features",
    "find_engine",
    "package",
    "serve",
    "train",
]
