"""The stage clock: how long each stage of a delivery took, by the names of the paper's tables."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager
from enum import StrEnum


class Step(StrEnum):
    """A stage between a push and the first new answer."""

    READ = "read the commit"
    ENVIRONMENT = "prepare the environment"
    TESTS = "test the model"
    BUILD = "build the image"
    GOLDEN = "golden requests"
    ATTEST = "attest and judge"
    PUSH = "push the image"
    DEPLOY_TEST = "deploy to test"
    DEPLOY = "deploy to production"


class StageClock:
    """Adds up seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def measure(self, step: Step) -> Generator[None]:
        """Measure what is done within."""
        began = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - began
            self.seconds[step.value] = self.seconds.get(step.value, 0.0) + spent
