"""Events that dispatching leaves for those who look for causes. Ids are deterministic. Pure."""

from __future__ import annotations

from engine.model import differing
from engine.model.alarms import Event
from engine.model.differing import Difference
from engine.model.dispatches import Deployment, Run
from engine.model.records import ClusterHealth


def run_ended(run: Run, at: float) -> Event:
    """Return the event of a run that ended at an instant."""
    why = f": {run.reason}" if run.reason else ""
    return Event(
        event_id=f"run-ended:{run.run_id}@{at!r}",
        at=at,
        kind="run",
        subject=f"pipeline:{run.pipeline}",
        message=f"run {run.run_id} {run.state.value}{why}",
        labels={"run": run.run_id, "pipeline": run.pipeline, "state": run.state.value},
    )


def pipeline_changed(pipeline: str, at: float, found: tuple[Difference, ...] = ()) -> Event:
    """Return the event of a pipeline that was submitted with another spec than before.

    found: parameters that differ from those of its last good run.
    """
    told = f": {differing.words(found)}" if found else ""
    return Event(
        event_id=f"pipeline-changed:{pipeline}@{at!r}",
        at=at,
        kind="schema",
        subject=f"pipeline:{pipeline}",
        message=f"the specification of {pipeline} changed{told}",
        labels={"pipeline": pipeline, **differing.labels(found)},
    )


def deployment_changed(deployment: Deployment, at: float, message: str) -> Event:
    """Return the event of a model that began or ceased to serve, or was refused."""
    return Event(
        event_id=f"deployment:{deployment.pipeline}@{at!r}",
        at=at,
        kind="deployment",
        subject=f"model:{deployment.pipeline}",
        message=message,
        labels={
            "pipeline": deployment.pipeline,
            "run": deployment.run_id,
            "digest": deployment.serving or deployment.wanted,
        },
    )


def cluster_changed(health: ClusterHealth) -> Event:
    """Return the event of a cluster that stopped answering, or answers again."""
    what = "answers again" if health.reachable else "does not answer"
    return Event(
        event_id=f"cluster:{health.cluster}@{health.since!r}",
        at=health.since,
        kind="cluster",
        subject=f"cluster:{health.cluster}",
        message=f"cluster {health.cluster} {what}",
        labels={"cluster": health.cluster, "reachable": str(int(health.reachable))},
    )
