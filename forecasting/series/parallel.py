"""Workers for chunks of series: processes of joblib, here or on a cluster of Dask or Ray.

A chunk's answer does not depend on who works on it, so every backend gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar, cast

import joblib

_Task = TypeVar("_Task")
_Answer = TypeVar("_Answer")


class Backend(StrEnum):
    """Where work is done; Dask and Ray need their packages and a client that is connected."""

    LOKY = "loky"
    THREADING = "threading"
    DASK = "dask"
    RAY = "ray"


@dataclass(frozen=True, slots=True, kw_only=True)
class Workers:
    """Applies a function to tasks by several workers and keeps the tasks' order.

    jobs: how many work at once; backend: joblib's name of where they do.
    """

    jobs: int
    backend: Backend = Backend.LOKY

    def __call__(
        self, function: Callable[[_Task], _Answer], tasks: Iterable[_Task], /
    ) -> list[_Answer]:
        """Return the answers in the order of the tasks."""
        given = list(tasks)
        # Each worker computes with one thread: more would fight over the same cores.
        limits = {"inner_max_num_threads": 1} if self.backend is Backend.LOKY else {}
        with joblib.parallel_config(backend=self.backend.value, n_jobs=self.jobs, **limits):
            found = joblib.Parallel()(joblib.delayed(function)(task) for task in given)
        return list(cast("Iterable[_Answer]", found))
