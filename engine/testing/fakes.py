"""Executor, artefact store and model server in memory: real behaviour, no processes, no waiting.

They stand for the world outside, so one object outlives any number of engines; a test that
restarts the engine hands the same objects to the next one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from engine.model import documents
from engine.model.dispatches import (
    AttemptOrder,
    AttemptState,
    Deployment,
    Observation,
    Reason,
    Usage,
)
from engine.model.errors import BerthError, DamagedError, NotFoundError, UnreachableError
from engine.model.identifiers import AttemptId, ClusterName, Digest
from engine.model.specs import Scalar, TaskKind
from engine.ports import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What an attempt is to come to.

    state: `RUNNING` for one that runs until it is stopped.
    seconds: after which it ends, of the executor's clock. left: what it wrote, where it failed.
    """

    state: AttemptState = AttemptState.SUCCEEDED
    reason: Reason = Reason.COMPLETED
    message: str = ""
    outputs: Mapping[str, Scalar] = field(default_factory=dict)
    seconds: float = 0.0
    left: Digest | None = None


def succeed(order: AttemptOrder) -> Outcome:
    """Let every task succeed at once, and servers run until they are stopped."""
    if order.kind is TaskKind.SERVE:
        return Outcome(state=AttemptState.RUNNING)
    return Outcome()


class InstantExecutor:
    """Runs attempts in memory (port `Executor`).

    starts: how often each attempt was really started, which never passes 1.
    orders: what was asked, by attempt.
    """

    def __init__(self, clock: Clock, behave: Callable[[AttemptOrder], Outcome] = succeed) -> None:
        self.starts: Counter[AttemptId] = Counter()
        self.orders: dict[AttemptId, AttemptOrder] = {}
        self._clock = clock
        self._behave = behave
        self._outcomes: dict[AttemptId, Outcome] = {}
        self._started_at: dict[AttemptId, float] = {}
        self._ended: dict[AttemptId, Observation] = {}
        self._down: set[str] = set()
        self._hidden: set[str] = set()

    def start(self, order: AttemptOrder) -> None:
        """Start an attempt; one that was started before is left alone."""
        if order.cluster in self._down | self._hidden:
            raise UnreachableError(f"cluster {order.cluster!r} does not answer")
        if order.attempt_id in self.orders:
            return
        self.orders[order.attempt_id] = order
        self.starts[order.attempt_id] += 1
        self._outcomes[order.attempt_id] = self._behave(order)
        self._started_at[order.attempt_id] = self._clock.now()

    def observe(self) -> Sequence[Observation]:
        """Return what is seen of every attempt on clusters that answer."""
        return [
            self._seen(attempt)
            for attempt, order in self.orders.items()
            if order.cluster not in self._hidden
        ]

    def stop(self, attempt: AttemptId) -> None:
        """End an attempt; one that is not known is left as it is."""
        if attempt in self.orders:
            self._end(attempt, AttemptState.STOPPED, Reason.CANCELLED)

    def fail(self, cluster: str) -> None:
        """Kill everything on a cluster and refuse what is new."""
        self._down.add(cluster)
        for attempt, order in self.orders.items():
            if order.cluster == cluster:
                self._end(attempt, AttemptState.FAILED, Reason.KILLED)

    def hide(self, cluster: str) -> None:
        """Cut a cluster off: what runs there goes on unseen."""
        self._hidden.add(cluster)

    def restore(self, cluster: str) -> None:
        """Let a cluster answer again."""
        self._down.discard(cluster)
        self._hidden.discard(cluster)

    def kill(self, attempt: AttemptId, reason: Reason = Reason.KILLED) -> None:
        """End an attempt from outside."""
        self._end(attempt, AttemptState.FAILED, reason)

    def forget(self, attempt: AttemptId) -> None:
        """Lose every trace of an attempt, as a disk that failed would."""
        del self.orders[attempt]

    def clear(self, is_kept: Callable[[AttemptId], bool]) -> int:
        """Show what has ended and is not kept no longer; return how many that are."""
        over = [each for each in self.orders if self._seen(each).state.is_terminal]
        gone = [each for each in over if not is_kept(each)]
        for attempt in gone:
            del self.orders[attempt]
        return len(gone)

    def _end(self, attempt: AttemptId, state: AttemptState, reason: Reason) -> None:
        seen = self._seen(attempt)
        if not seen.state.is_terminal:
            ended = replace(seen, state=state, reason=reason, ended_at=self._clock.now())
            self._ended[attempt] = replace(ended, endpoint="")

    def _seen(self, attempt: AttemptId) -> Observation:
        if attempt in self._ended:
            return self._ended[attempt]
        outcome = self._outcomes[attempt]
        started_at = self._started_at[attempt]
        running = Observation(
            attempt_id=attempt,
            state=AttemptState.RUNNING,
            handle=f"memory:{attempt}",
            endpoint=self._endpoint(attempt),
            started_at=started_at,
        )
        ends_at = started_at + outcome.seconds
        if outcome.state is AttemptState.RUNNING or self._clock.now() < ends_at:
            return running
        succeeded = outcome.state is AttemptState.SUCCEEDED
        self._ended[attempt] = replace(
            running,
            state=outcome.state,
            endpoint="",
            ended_at=ends_at,
            exit_code=0 if succeeded else 1,
            reason=outcome.reason,
            message=outcome.message,
            outputs=outcome.outputs if succeeded else {},
            artifact=documents.sha256(attempt.encode()) if succeeded else outcome.left,
            usage=Usage(
                duration_seconds=outcome.seconds,
                cpu_seconds=outcome.seconds,
                memory_gib_peak=self.orders[attempt].limits.memory_gib,
            ),
        )
        return self._ended[attempt]

    def _endpoint(self, attempt: AttemptId) -> str:
        serves = self.orders[attempt].kind is TaskKind.SERVE
        return f"http://memory/{attempt}" if serves else ""


class InstantBulkExecutor(InstantExecutor):
    """One that starts many at once (ports `Executor` and `BulkExecutor`).

    busy: clusters that take nothing for now. takes: how many a cluster starts in one call, None for
    any number. refused: tasks that their cluster refuses, with why.
    batches: how many attempts each call was given.
    """

    def __init__(self, clock: Clock, behave: Callable[[AttemptOrder], Outcome] = succeed) -> None:
        super().__init__(clock, behave)
        self.busy: set[str] = set()
        self.takes: int | None = None
        self.refused: dict[str, BerthError] = {}
        self.batches: list[int] = []

    def start_all(self, orders: Sequence[AttemptOrder]) -> Mapping[AttemptId, BerthError | None]:
        """Start those whose cluster has time; return what went wrong with each."""
        self.batches.append(len(orders))
        told: dict[AttemptId, BerthError | None] = {}
        tried: Counter[str] = Counter()
        for order in orders:
            full = self.takes is not None and tried[order.cluster] >= self.takes
            if order.cluster not in self.busy and not full:
                tried[order.cluster] += 1
                told[order.attempt_id] = self._tried(order)
        return told

    def _tried(self, order: AttemptOrder) -> BerthError | None:
        if order.task in self.refused:
            return self.refused[order.task]
        try:
            self.start(order)
        except UnreachableError as error:
            return error
        return None


class InstantSuspendingExecutor(InstantBulkExecutor):
    """One that can suspend (ports `Executor`, `BulkExecutor` and `SuspendingExecutor`).

    lasting: clusters whose attempts cannot be suspended. slow: attempts that do not leave yet.
    failing: whether a call for suspension meets a cluster that does not answer.
    suspended: attempts that are off their machines now; suspensions: how often each was.
    """

    def __init__(self, clock: Clock, behave: Callable[[AttemptOrder], Outcome] = succeed) -> None:
        super().__init__(clock, behave)
        self.lasting: set[str] = set()
        self.slow: set[AttemptId] = set()
        self.failing = False
        self.suspended: set[AttemptId] = set()
        self.suspensions: Counter[AttemptId] = Counter()

    def can_suspend(self, cluster: ClusterName) -> bool:
        """Whether attempts on a cluster can be suspended."""
        return cluster not in self.lasting

    def suspend(self, attempt: AttemptId) -> None:
        """Take an attempt off its machine."""
        if self.failing:
            raise UnreachableError("nobody answers")
        runs = attempt in self.orders and not self._seen(attempt).state.is_terminal
        if runs and attempt not in self.suspended | self.slow:
            self.suspended.add(attempt)
            self.suspensions[attempt] += 1

    def start(self, order: AttemptOrder) -> None:
        """Start an attempt, or let one that is suspended go on from its beginning."""
        super().start(order)
        if order.attempt_id in self.suspended:
            self.suspended.discard(order.attempt_id)
            self.orders[order.attempt_id] = order
            self._started_at[order.attempt_id] = self._clock.now()

    def running(self) -> list[AttemptOrder]:
        """Return the orders of what is on machines now."""
        seen = {each.attempt_id: each.state for each in self.observe()}
        return [self.orders[each] for each in seen if seen[each] is AttemptState.RUNNING]

    def _seen(self, attempt: AttemptId) -> Observation:
        if attempt in self.suspended and attempt not in self._ended:
            return Observation(
                attempt_id=attempt, state=AttemptState.SUSPENDED, handle=f"memory:{attempt}"
            )
        return super()._seen(attempt)


class InstantModelServer:
    """Swaps at once (port `ModelServer`).

    served: digest by endpoint; swapped: every digest that was swapped in, in order.
    bad: packages that are refused; down: endpoints that do not answer.
    """

    def __init__(self) -> None:
        self.served: dict[str, Digest] = {}
        self.swapped: list[Digest] = []
        self.bad: set[Digest] = set()
        self.down: set[str] = set()

    def swap(self, deployment: Deployment) -> Digest:
        """Serve what is wanted, unless the package is bad or the server down."""
        if not deployment.endpoint or deployment.endpoint in self.down:
            raise UnreachableError(f"{deployment.endpoint!r} does not answer")
        if deployment.wanted in self.bad:
            raise DamagedError(f"{deployment.wanted} is not what it says")
        if self.served.get(deployment.endpoint) != deployment.wanted:
            self.served[deployment.endpoint] = deployment.wanted
            self.swapped.append(deployment.wanted)
        return deployment.wanted


class MemoryArtifacts:
    """Keeps artefacts in memory (port `ArtifactStore`); files and folders of files."""

    def __init__(self, clock: Clock) -> None:
        self.kept: dict[Digest, dict[str, bytes]] = {}
        self._clock = clock
        self._put_at: dict[Digest, float] = {}

    def put(self, path: Path) -> Digest:
        """Keep a copy; the digest covers relative names and contents."""
        files = sorted(each for each in path.rglob("*") if each.is_file()) or [path]
        content = {
            "" if each == path else each.relative_to(path).as_posix(): each.read_bytes()
            for each in files
        }
        digest = self._digest(content)
        self.kept[digest] = content
        self._put_at[digest] = self._clock.now()
        return digest

    def fetch(self, digest: Digest, target: Path) -> None:
        """Lay the content out at `target`, which must not exist."""
        if digest not in self.kept:
            raise NotFoundError(f"nothing has the digest {digest!r}")
        content = self.kept[digest]
        if self._digest(content) != digest:
            raise DamagedError(f"what is kept as {digest!r} is something else")
        for name, data in content.items():
            place = target / name if name else target
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)

    def collect(self, live: Sequence[Digest], *, grace_seconds: float) -> int:
        """Remove what is not listed in `live` and was put before the grace period."""
        before = self._clock.now() - grace_seconds
        gone = {
            each for each in set(self.kept) - set(live) if self._put_at.get(each, before) <= before
        }
        for digest in gone:
            del self.kept[digest]
        return len(gone)

    def damage(self, digest: Digest) -> None:
        """Change what is kept, as a failing disk would."""
        self.kept[digest] = {name: data + b"?" for name, data in self.kept[digest].items()}

    @staticmethod
    def _digest(content: Mapping[str, bytes]) -> Digest:
        digests = {name: documents.sha256(data) for name, data in content.items()}
        return documents.sha256(documents.encode(digests).encode())
