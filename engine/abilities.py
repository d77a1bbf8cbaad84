"""What an executor may do beyond its port; the engine asks which of it one can.

Kept by suites of `engine.testing` as the ports are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, runtime_checkable

from engine.model.dispatches import AttemptOrder
from engine.model.errors import BerthError
from engine.model.identifiers import AttemptId, ClusterName


@runtime_checkable
class BulkExecutor(Protocol):
    """An executor that starts many attempts at once; others need not."""

    def start_all(self, orders: Sequence[AttemptOrder]) -> Mapping[AttemptId, BerthError | None]:
        """Start attempts, each as `Executor.start` does; return what went wrong with each.

        Those not in the answer wait for the next call: their cluster is busy, or gave none yet.
        """
        ...


@runtime_checkable
class SuspendingExecutor(Protocol):
    """An executor that can take attempts off their machines for a while; others need not.

    `Executor.start` of one that is suspended lets it go on: from its beginning, within the limits
    of the new order, with its time limit counted anew.
    """

    def can_suspend(self, cluster: ClusterName) -> bool:
        """Return whether attempts on a cluster can be suspended now."""
        ...

    def suspend(self, attempt: AttemptId) -> None:
        """Take an attempt off its machine; it is seen as `SUSPENDED` once nothing of it runs.

        One that has ended, is stopped, suspended or not known is left as it is.

        Raises:
            RetryableError: when its cluster does not answer.
        """
        ...


@runtime_checkable
class ClearingExecutor(Protocol):
    """An executor that keeps files of attempts that have ended; others need not."""

    def clear(self, is_kept: Callable[[AttemptId], bool]) -> int:
        """Remove what attempts that have ended left and nobody keeps; return of how many.

        Where they are many, not all in one call. They are not observed any more. It is the caller
        who knows that they were started, and starts none of them again.

        Raises:
            RetryableError: when something cannot be removed now; the next call goes on.
        """
        ...
