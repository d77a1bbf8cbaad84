"""What the benchmarks of Kubernetes share: a real API server, an engine's parts, and pipelines."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks import frame
from engine import dispatching, expressions, store
from engine.clocks import SystemClock
from engine.model import documents
from engine.model.dispatches import Attempt, AttemptOrder, AttemptState
from engine.model.fleet import Fleet
from engine.model.identifiers import ClusterName, PipelineName, RunId, TaskName, attempt_id
from engine.model.records import ATTEMPTS, Term
from engine.model.specs import PipelineSpec, TaskKind, TaskSpec
from engine.ports import FleetSource, Ledger
from engine.testing import crash, samples
from executors import kubernetes
from executors.kubernetes.api import Api
from executors.kubernetes.clusters import KubernetesClusters
from executors.kubernetes.executor import KubernetesExecutor
from executors.kubernetes.settings import ClusterSettings, KubernetesSettings
from executors.local import FolderArtifacts
from executors.serving import HttpModelServer
from tests.support.clusters import building, certificates, fixtures, nodes, plane

CLUSTER = "east"
NODES = 10_000
SERVER_ONLY = ("etcd", "kube-apiserver")


@contextlib.contextmanager
def control_plane(
    context: frame.Context, programs: Sequence[str] = building.PLANE
) -> Iterator[plane.ControlPlane]:
    """Start a control plane, or only some of its programs; stop it in the end.

    The one whose folder stands in `BERTH_TEST_CLUSTER` is taken as it runs, and goes on afterwards.

    Raises:
        BenchmarkError: when it can be neither found nor built.
    """
    running = os.environ.get("BERTH_TEST_CLUSTER")
    if running:
        yield plane.ControlPlane.load(Path(running))
        return
    try:
        made = plane.create(context.scratch / "real", programs)
    except (building.UnavailableError, TimeoutError) as error:
        raise frame.BenchmarkError(str(error)) from error
    try:
        yield made
    finally:
        made.stop()


def place(made: plane.ControlPlane) -> fixtures.Place:
    """Make a namespace with a user who has Berth's rights, and one node to find a pool by."""
    admin = fixtures.api_of(made.kubeconfig, made.folder.name)
    return fixtures.new_place(made, admin)


def add_node(admin: Api) -> None:
    """Register one node of the pool that the fleet of these benchmarks names."""
    labels = {"berth.dev/pool": str(samples.POOL)}
    admin.call("POST", "/api/v1/nodes", body=nodes.node("node-1", labels=labels))


def settings(
    found: fixtures.Place, *, connections: int, kubeconfig: Path | None = None, rate: float = 0.0
) -> KubernetesSettings:
    """Return settings of one cluster."""
    given = ClusterSettings(
        name=CLUSTER,
        context=found.context,
        namespace=found.namespace,
        connections=connections,
        writes_per_second=rate,
    )
    return KubernetesSettings(
        kubeconfig=kubeconfig or found.kubeconfig,
        clusters=(given,),
        listen="127.0.0.1:0",
        stop_seconds=5.0,
    )


def joined(given: KubernetesSettings, beside: Mapping[str, fixtures.Place]) -> KubernetesSettings:
    """Return settings with more clusters, whose kubeconfigs are written into the one given."""
    whole = json.loads(given.kubeconfig.read_text("utf-8"))
    clusters = list(given.clusters)
    for name, found in beside.items():
        made = found.plane
        more = certificates.kubeconfig(
            made.folder, made.server, found.namespace, context=name, namespace=found.namespace
        )
        whole = certificates.merged([whole, more])
        one = dataclasses.replace(clusters[0], name=name, context=name, namespace=found.namespace)
        clusters.append(one)
    certificates.write_kubeconfig(given.kubeconfig, whole)
    return dataclasses.replace(given, clusters=tuple(clusters))


def fleet(*names: str, node_count: int = NODES) -> Fleet:
    """Return a fleet of Kubernetes clusters, large unless said otherwise."""
    made = samples.fleet(*(names or (CLUSTER,)), node_count=node_count, grace_seconds=900.0)
    return Fleet(
        clusters=tuple(dataclasses.replace(each, executor="kubernetes") for each in made.clusters)
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """What tells one engine from others on the same store; database: "" for SQLite in its home."""

    name: str = ""
    database: str = ""
    clock: SystemClock = dataclasses.field(default_factory=SystemClock)
    term: Term | None = None


class Engine:
    """The dispatch loop of an engine, with a store of full durability and one cluster.

    discovers: take the fleet as the nodes are; otherwise one cluster that always answers.
    node_count: nodes of that, each with room for two tasks.
    """

    def __init__(
        self,
        home: Path,
        given: KubernetesSettings,
        *,
        discovers: bool = False,
        inactivity_seconds: float = 50.0,
        points: crash.CrashPoints | None = None,
        member: Member | None = None,
        node_count: int = NODES,
    ) -> None:
        home.mkdir(parents=True, exist_ok=True)
        member = member or Member()
        self.home = home
        self.clock = member.clock
        passed = points or crash.CrashPoints()
        opened = store.open_ledger(member.database or f"sqlite:///{home / 'berth.sqlite'}")
        self._close_ledger = opened.close
        self.ledger: Ledger = crash.CrashingLedger(opened, passed) if points else opened
        self.clusters = KubernetesClusters(
            given, kubernetes.installation_of(home), inactivity_seconds=inactivity_seconds
        )
        found = kubernetes.KubernetesFleetSource(self.clusters)
        found.fleet()
        artifacts = FolderArtifacts(home / "artifacts")
        self.executor = KubernetesExecutor(
            home, self.clusters, artifacts, self.clock, replica=member.name
        )
        self.fixed = fleet(*(each.name for each in given.clusters), node_count=node_count)
        self.source: FleetSource = found if discovers else samples.FixedFleet(self.fixed)
        self.dispatcher = dispatching.Dispatcher(
            self.ledger,
            {"kubernetes": crash.crashing(self.executor, passed) if points else self.executor},
            artifacts,
            HttpModelServer(),
            expressions.CelConditions(),
            self.source,
            self.clock,
            member.term or store.begin_term(self.ledger, self.clock, "benchmark"),
        )

    def submit(self, spec: PipelineSpec) -> None:
        """Submit a run of a pipeline, its tasks placed on the clusters in turn."""
        plan = samples.plan(spec, self.fixed)
        dispatching.submit(self.ledger, self.clock, plan, spec.name)

    def attempts(self) -> list[Attempt]:
        """Return every attempt."""
        return [each.value for each in self.ledger.select(ATTEMPTS, limit=1_000_000)]

    def count(self, state: AttemptState) -> int:
        """Return how many attempts are in a state."""
        return sum(each.state is state for each in self.attempts())

    def close(self) -> None:
        """End everything but what runs on the cluster."""
        self.executor.close()
        self._close_ledger()


def pipeline(number: int, tasks: int, command: tuple[str, ...] = ("true",)) -> PipelineSpec:
    """Return a pipeline of tasks that do not wait for each other."""
    made = (
        TaskSpec(name=TaskName(f"task-{each}"), kind=TaskKind.ETL, command=command)
        for each in range(tasks)
    )
    return samples.pipeline(*made, name=f"flood-{os.getpid()}-{number}")


def order() -> AttemptOrder:
    """Return an order as the engine makes it for a task of such a pipeline."""
    task = TaskSpec(name=TaskName("task-0"), kind=TaskKind.ETL, command=("true",))
    run_id = RunId("r-0")
    return AttemptOrder(
        attempt_id=attempt_id(run_id, task.name, 1),
        run_id=run_id,
        pipeline=PipelineName("flood"),
        task=task.name,
        kind=task.kind,
        cluster=ClusterName(CLUSTER),
        pool=samples.POOL,
        command=task.command,
        folder="",
        inputs={},
        parameters={"task": documents.plain(task), "pipeline": "flood", "seed": 0},
        limits=samples.HELD,
        time_limit_seconds=600.0,
    )
