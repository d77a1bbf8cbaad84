"""What the engine's use cases need from the outside: small protocols, one to three methods each.

Each has a conformance suite in `engine.testing` that every implementation runs, ours and other
people's. Errors are those of `engine.model.errors`; foreign ones are wrapped by the adapter.
Implementations may be called from one thread at a time unless they say otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

from engine.model.alarms import Alarm, Cause, Drift, Event, SuperAlarm
from engine.model.capacity import DemandForecast, DemandSeries
from engine.model.checks import Check, Verdict
from engine.model.dispatches import AttemptOrder, Deployment, Observation
from engine.model.failures import Failure
from engine.model.feedback import CheckFeedback
from engine.model.fleet import Fleet
from engine.model.identifiers import AttemptId, Digest, PipelineName
from engine.model.plans import Incumbent, Placement, PlacementProblem
from engine.model.profiles import Profile, RunRecord
from engine.model.records import Collection, Column, Stored, Write
from engine.model.remedies import Remedy
from engine.model.scans import ScanReport
from engine.model.signals import Season, Signal
from engine.model.sizing import ServiceSize, ServiceUse, SizingPolicy
from engine.model.specs import PipelineSpec, TaskSpec

T = TypeVar("T")


@runtime_checkable
class Clock(Protocol):
    """Where the time comes from. Nothing reads the wall clock on its own."""

    def now(self) -> float:
        """Return seconds since 1970 in UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never jump when the wall clock is set; only differences count."""
        ...

    def wait(self, seconds: float) -> None:
        """Return after so many seconds of this clock."""
        ...

    def after(self, seconds: float) -> float:
        """Return the instant at which a wait of so many seconds that begins now would end."""
        ...


@runtime_checkable
class Ledger(Protocol):
    """The store: collections of versioned records with atomic batches.

    May be called from several threads. A batch is durable when `commit` returns.
    """

    def get(self, collection: Collection[T], key: str) -> Stored[T] | None:
        """Return one record, or None."""
        ...

    def select(
        self,
        collection: Collection[T],
        *,
        where: Mapping[str, Column | Sequence[Column]] | None = None,
        order_by: str = "",
        descending: bool = False,
        since: float | None = None,
        limit: int = 10_000,
    ) -> Sequence[Stored[T]]:
        """Return records whose columns equal `where` (a sequence: any of its values).

        Ordered by the column `order_by`, then by key; `since` keeps those whose `order_by`
        column is greater than it.
        """
        ...

    def commit(
        self,
        name: str,
        writes: Sequence[Write],
    ) -> None:
        """Write all or nothing. `name` says which step this is (`dispatch.intend`), for logs.

        Raises:
            ConflictError: when an expected version is not the stored one; nothing was written.
        """
        ...


@runtime_checkable
class Forecaster(Protocol):
    """Forecasts what one task will need."""

    def profile(
        self,
        pipeline: PipelineSpec,
        task: TaskSpec,
        fleet: Fleet,
        history: Sequence[RunRecord],
    ) -> Profile:
        """Return the profile of a task, from its spec and from past runs of any task.

        Pure: the same arguments give the same profile. It never fails for want of history.
        """
        ...


@runtime_checkable
class DemandForecaster(Protocol):
    """Forecasts demand of a pool, with calibrated quantiles."""

    def forecast(
        self,
        series: DemandSeries,
        *,
        hours: int,
        seed: int,
        beside: Sequence[DemandSeries] = (),
    ) -> DemandForecast:
        """Return quantiles for each of the next `hours` hours. Pure.

        beside: series of other pools that may be learned from; the answer is about `series`.

        Raises:
            InvalidInputError: when the series is too short to say anything (under 48 values).
        """
        ...


@runtime_checkable
class ServiceSizer(Protocol):
    """Says what running services should hold."""

    def sizes(
        self, services: Sequence[ServiceUse], policy: SizingPolicy, *, at: float
    ) -> Sequence[ServiceSize]:
        """Return a recommendation for each service, in their order. Pure.

        at: when the last measured hour ended.
        """
        ...


@runtime_checkable
class Placer(Protocol):
    """Assigns tasks to clusters over time."""

    def place(self, problem: PlacementProblem) -> Placement:
        """Return the best placement found within the work limit, with its bound. Pure.

        It never comes back empty: what cannot be placed is in `unplaced` with its reason.

        Raises:
            InfeasibleError: in `LEAST_COST` mode when no plan keeps every wish; it carries the
                smallest clashing set with the cheapest relaxation of each.
        """
        ...


@runtime_checkable
class Watch(Protocol):
    """Looks on while a plan is searched for. What it sees is never part of the plan.

    Called from the thread that searches, and quick.
    """

    def found(self, incumbent: Incumbent) -> None:
        """Take note of a plan that is better than all before it, or of a better bound."""
        ...

    def wants_end(self) -> bool:
        """Whether the search shall end soon, with the best plan it has."""
        ...


@runtime_checkable
class WatchablePlacer(Protocol):
    """A placer that tells of its progress; others need not."""

    def place(self, problem: PlacementProblem) -> Placement:
        """As `Placer.place`; ended early by the watch, the best placement found so far."""
        ...

    def watched(self, watch: Watch) -> Placer:
        """Return the same placer with somebody looking on; ended early only if they want it."""
        ...


@runtime_checkable
class Executor(Protocol):
    """Runs attempts on the clusters that name it.

    `start` is idempotent by attempt id, also across restarts of the engine: an attempt that was
    ever started is never started again, and its result stays observable until it is cleared.
    """

    def start(self, order: AttemptOrder) -> None:
        """Start an attempt.

        Raises:
            UnreachableError: when its cluster refuses or does not answer; nothing was started.
        """
        ...

    def observe(self) -> Sequence[Observation]:
        """Return what is seen of every attempt that was started and not cleared."""
        ...

    def stop(self, attempt: AttemptId) -> None:
        """End an attempt; it is gone after its cluster's grace period at the latest."""
        ...


@runtime_checkable
class RemedyChooser(Protocol):
    """Chooses what the attempt after a failed one changes, or that none is worth it."""

    def choose(self, failure: Failure) -> Remedy:
        """Return the remedy, with the options that were weighed. Pure.

        It learns from the past retries and runs that the failure brings along.
        """
        ...


@runtime_checkable
class FleetSource(Protocol):
    """Knows the clusters."""

    def fleet(self) -> Fleet:
        """Return all clusters as they are now, `reachable` included."""
        ...


@runtime_checkable
class ArtifactStore(Protocol):
    """Keeps immutable folders and files by the digest of their content."""

    def put(self, path: Path) -> Digest:
        """Keep a copy of a folder or file; the same content always has the same digest."""
        ...

    def fetch(self, digest: Digest, target: Path) -> None:
        """Lay the content out at `target`, which must not exist; checked against the digest.

        Raises:
            NotFoundError: when nothing has this digest.
            DamagedError: when what is kept is not what the digest says.
        """
        ...

    def collect(self, live: Sequence[Digest], *, grace_seconds: float) -> int:
        """Remove what is not listed in `live`; return how many artefacts went.

        What was put, for the first time or again, within the grace period stays: whoever put it
        may not have written its digest down yet.
        """
        ...


@runtime_checkable
class ModelServer(Protocol):
    """Changes what a running model server serves, without a failed request."""

    def swap(self, deployment: Deployment) -> Digest:
        """Make the server at `endpoint` serve `wanted`; return the digest that serves now.

        Idempotent. The old model keeps serving until the new one answered a check.

        Raises:
            UnreachableError: when the server does not answer.
            DamagedError: when the package is not what it says; the old model still serves.
        """
        ...


@runtime_checkable
class Detector(Protocol):
    """Finds signals outside what is normal. Streaming and causal: no look at later values."""

    def observe(self, signals: Sequence[Signal]) -> Sequence[Alarm]:
        """Take signals in order of time and return the alarms they raise.

        Ids of alarms are deterministic: the same signals raise the same alarms, so that the
        state can be rebuilt after a restart by observing stored signals again.
        """
        ...

    def abnormal(self) -> Mapping[str, float]:
        """Return the series that are outside what is normal, each with the time since when.

        As of the newest signal observed; a series leaves when it has been normal for a while.
        """
        ...


@runtime_checkable
class Remembering(Protocol):
    """A detector whose memory reaches further back than signals are stored; others need not."""

    def remembered(self) -> Sequence[Season]:
        """Return what is new since the last call; a season comes again as it goes on."""
        ...

    def recall(self, seasons: Sequence[Season]) -> None:
        """Take what was remembered before a restart; told before any signal, in any order."""
        ...


@runtime_checkable
class DriftWatch(Protocol):
    """A detector that decides over all models together which drifted; others need not."""

    def drifts(self, pipeline: PipelineName) -> Drift | None:
        """Return whether a pipeline's model drifted; None while too little is known of it."""
        ...

    def trained(self, pipeline: PipelineName, at: float) -> None:
        """Take values after a training for another norm. Idempotent; told before the values."""
        ...


@runtime_checkable
class Grouper(Protocol):
    """Groups alarms into super-alarms."""

    def group(
        self, open_groups: Sequence[SuperAlarm], alarms: Sequence[Alarm], now: float
    ) -> Sequence[SuperAlarm]:
        """Return the super-alarms that are new or changed; ids of groups that grow stay."""
        ...


@runtime_checkable
class CauseFinder(Protocol):
    """Ranks hypotheses about what started a super-alarm."""

    def causes(
        self, group: SuperAlarm, signals: Sequence[Signal], events: Sequence[Event]
    ) -> Sequence[Cause]:
        """Return causes by falling belief; beliefs sum to 1. Never empty.

        signals: recent ones of every series; events: what changed in the hour before.
        """
        ...


@runtime_checkable
class Checker(Protocol):
    """Takes the looks that settle causes."""

    def look(self, check: Check) -> tuple[Verdict, str]:
        """Return what a check says of its cause, and what was seen, with numbers.

        It changes nothing and takes seconds at most.

        Raises:
            BerthError: when it could not look; the message says why.
        """
        ...


@runtime_checkable
class Learner(Protocol):
    """A grouper or a cause finder that learns from what is over; others need not."""

    def learn(self, past: Sequence[SuperAlarm], verdicts: Mapping[str, bool]) -> None:
        """Take super-alarms that are over, oldest first; one given again brings a new verdict.

        A grouper is given them once, before it groups anything; a cause finder also those that
        end later.

        verdicts: whether the first cause was right, of those that a person judged, by the
            `coming_id` of the time that it came.
        """
        ...


@runtime_checkable
class CheckLearner(Protocol):
    """A cause finder that learns which checks to believe; others need not."""

    def learn_checks(self, given: Sequence[CheckFeedback]) -> None:
        """Take what people said about checks, oldest first; of one check the newest word counts."""
        ...


@runtime_checkable
class SignalSource(Protocol):
    """Delivers signals measured elsewhere."""

    name: str
    """Under which the position is kept."""

    def read(self, position: str) -> tuple[Sequence[Signal], str]:
        """Return signals after `position` ("" for the start) and the position to go on from."""
        ...


@runtime_checkable
class Notifier(Protocol):
    """Tells people. A repeated call with the same group edits the message in place."""

    def notify(self, group: SuperAlarm) -> None:
        """Send or edit the one message of a super-alarm; deduplicated by its id."""
        ...


@runtime_checkable
class ModelRegistry(Protocol):
    """Keeps packaged models as images, by name and digest."""

    def images(self, name: str) -> Sequence[Digest]:
        """Return the digests of a model's images, oldest first."""
        ...

    def resolve(self, name: str, tag: str) -> Digest:
        """Return the digest a tag stands for.

        Raises:
            NotFoundError: when there is no such model or tag.
        """
        ...


@runtime_checkable
class Scanner(Protocol):
    """Looks for what is dangerous in a model, an archive or an image, without loading it."""

    def scan(self, path: Path) -> ScanReport:
        """Return what was found in a file, a folder or an OCI layout; nothing in it is run.

        The same content gives the same report. A check that could not be made (no network, no
        program) is named in `not_run`, never left out silently.

        Raises:
            NotFoundError: when there is nothing at the path.
        """
        ...


@runtime_checkable
class Conditions(Protocol):
    """Evaluates `when` expressions."""

    def holds(self, expression: str, values: Mapping[str, object]) -> bool:
        """Return whether the expression is true of `values`.

        values: by task name its outputs, with its parameters under `parameters`.

        Raises:
            FinalError: when it cannot be evaluated; the message names the expression and why.
        """
        ...
