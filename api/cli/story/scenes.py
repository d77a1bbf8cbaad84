"""What happens in the story, scene by scene. Each waits for what it claims and fails otherwise."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from api.cli.story import traffic, workspace
from api.cli.story.recorded import Stretch
from api.cli.story.stage import Stage, StoryError
from api.report import phrases, words
from engine.model import alarms, dispatches

PIPELINE = "heart"
REQUESTS_PER_SECOND = 20.0
SETTLED_SECONDS = 4.0

T = TypeVar("T")


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What a scene leaves for the summary, by name and in order.

    figures: read from the store through the engine, or an id in it.
    stretches: for which the model's traffic is read from the store when all of it is there.
    callers: what the callers of the model counted themselves.
    """

    figures: dict[str, str | int | float] = field(default_factory=dict)
    stretches: list[Stretch] = field(default_factory=list)
    callers: dict[str, str | int | float] = field(default_factory=dict)


def plan(stage: Stage) -> str:
    """Plan the pipeline in both modes, explain one task, return the plan to be applied."""
    teller, spec = stage.teller, str(stage.space.spec)
    teller.scene("Plan: where, when, for how much, and why")
    most = stage.insist("a plan", lambda: stage.command("plan", spec, "--mode", "most-sla"))
    cheapest = stage.insist("a plan", lambda: stage.command("plan", spec, "--mode", "least-cost"))
    if most or cheapest:
        raise StoryError(f"planning ended with exit code {most or cheapest}")
    plans = stage.insist("the list of plans", stage.engine.plans)
    plan_id = next(one.plan_id for one in plans if one.mode.value == "least-cost")
    stage.insist("an explanation", lambda: stage.command("explain", plan_id, "forest"))
    return plan_id


def run(stage: Stage, plan_id: str) -> str:
    """Apply the plan and watch its run to the end; return the run's id."""
    stage.teller.scene("Run: the tasks as real processes")
    stage.insist("the run", lambda: stage.command("apply", plan_id, "--yes"))
    runs = stage.insist("the run", stage.engine.runs)
    run_id = next(one.run_id for one in runs if one.pipeline == PIPELINE)
    _follow(stage, run_id)
    stage.insist("the state", lambda: stage.command("status"))
    return run_id


def serve(stage: Stage) -> Outcome:
    """Replay held-out records against the served model for a while."""
    stage.teller.scene("Serve: held-out records against the model (Open Inference Protocol v2)")
    stage.until("the gateway to answer", stage.gate.answers)
    stage.teller.say(f"callers ask {stage.gate.url} (berth gateway), wherever the model serves")
    callers = _callers(stage)
    began_at = time.time()
    callers.start()
    stage.callers = callers
    stage.pause(stage.calm_seconds)
    calm = Stretch(name="while all was well", began_at=began_at, ended_at=time.time())
    tally = callers.reset()
    stage.teller.say(_heard(tally))
    if tally.failed:
        raise StoryError(f"{tally.failed} requests failed, the last with {tally.last_failure}")
    alarmed = stage.insist("the super-alarms", stage.engine.super_alarms)
    stage.teller.say(f"{len(alarmed)} super-alarms while all was well")
    return Outcome(
        figures={"while all was well: super-alarms": len(alarmed)},
        stretches=[calm],
        callers={
            "while all was well: requests sent": tally.sent,
            "while all was well: quality": round(tally.quality, 3),
        },
    )


def data_fault(stage: Stage) -> Outcome:
    """Change the unit of cholesterol upstream; wait for cause, retraining and swap."""
    callers = _playing(stage)
    stage.teller.scene("A data fault: upstream delivers cholesterol in mmol/L instead of mg/dL")
    known = _action_ids(stage)
    before = _deployment(stage)
    callers.reset()
    began_at = time.time()
    workspace.change_unit(stage.space.upstream)
    callers.change = workspace.in_millimoles
    action, group = _answer(stage, alarms.ActionKind.RETRAIN, known)
    detected = group.opened_at - began_at
    stage.teller.say(f"{group.super_alarm_id} raised {detected:.1f} s after the fault")
    stage.insist("the super-alarm", lambda: stage.command("alarms", "show", group.super_alarm_id))
    remedy = phrases.set_to(action.parameters)
    stage.teller.say(f"retraining {action.run_id} with {remedy}")
    _follow(stage, str(action.run_id))
    swapped = stage.until(
        "the new model to serve",
        lambda: _if(_deployment(stage), lambda one: one.serving not in {None, before.serving}),
    )
    swapped_at = time.time()
    during = callers.reset()
    stage.teller.say(f"swapped to {str(swapped.serving)[:19]}...; {_heard(during)}")
    stage.pause(SETTLED_SECONDS)
    after = callers.reset()
    stage.teller.say(f"afterwards {_heard(after)}")
    return Outcome(
        figures={
            "data fault: super-alarm": group.super_alarm_id,
            "data fault: likely cause": group.causes[0].title,
            "data fault: seconds to the alarm": round(detected, 1),
            "data fault: retraining run": str(action.run_id),
            "data fault: model swapped in": str(swapped.serving),
        },
        stretches=[
            Stretch(name="data fault until the swap", began_at=began_at, ended_at=swapped_at),
            Stretch(name="data fault afterwards", began_at=swapped_at, ended_at=time.time()),
        ],
        callers={
            "data fault: requests sent until the swap": during.sent,
            "data fault: failed requests until and during the swap": during.failed,
            "data fault: failed requests afterwards": after.failed,
            "data fault: quality until the swap": round(during.quality, 3),
            "data fault: quality afterwards": round(after.quality, 3),
        },
    )


def cluster_fault(stage: Stage) -> Outcome:
    """Fail the cluster that serves; wait for cause, re-plan and recovery, without retraining."""
    callers = _playing(stage)
    stage.teller.scene("A cluster fault: the cluster that serves is lost with all its processes")
    known = _action_ids(stage)
    retrains = len(_retrains(stage))
    cluster = _serving_cluster(stage)
    plan_id = stage.insist("the plan in force", lambda: _plan_in_force(stage))
    callers.reset()
    began, began_at = stage.teller.seconds, time.time()
    _fail(stage, cluster)
    action, group = _answer(stage, alarms.ActionKind.REPLAN, known)
    detected = group.opened_at - began_at
    stage.teller.say(f"{group.super_alarm_id} raised {detected:.1f} s after the fault")
    stage.insist("the super-alarm", lambda: stage.command("alarms", "show", group.super_alarm_id))
    stage.teller.say(f"re-planned as {action.plan_id}: {action.result}")
    stage.insist(
        "the difference", lambda: stage.command("diff", str(action.plan_id), "--against", plan_id)
    )
    moved = stage.until(
        "the model to serve elsewhere",
        lambda: _if(_serving_cluster(stage), lambda name: name != cluster),
    )
    recovered = stage.teller.seconds - began
    stage.until("an answer", lambda: callers.tally() if _answers(callers) else None)
    recovered_at = time.time()
    lost = callers.reset()
    stage.pause(SETTLED_SECONDS)
    after = callers.reset()
    stage.teller.say(f"{PIPELINE} serves from {moved} after {recovered:.1f} s; {_heard(after)}")
    retrained = len(_retrains(stage)) - retrains
    if retrained:
        raise StoryError("the cluster fault led to a retraining")
    return Outcome(
        figures={
            "cluster fault: super-alarm": group.super_alarm_id,
            "cluster fault: likely cause": group.causes[0].title,
            "cluster fault: seconds to the alarm": round(detected, 1),
            "cluster fault: seconds to serve elsewhere": round(recovered, 1),
            "cluster fault: re-plan": str(action.plan_id),
            "cluster fault: moved": f"{cluster} to {moved}",
            "cluster fault: retrainings": retrained,
        },
        stretches=[
            Stretch(name="cluster fault afterwards", began_at=recovered_at, ended_at=time.time())
        ],
        callers={
            "cluster fault: requests failed while moving": lost.failed,
            "cluster fault: longest wait of a caller, seconds": round(lost.longest_seconds, 1),
            "cluster fault: failed requests afterwards": after.failed,
        },
    )


def _fail(stage: Stage, cluster: str) -> None:
    """Make a cluster fail: one of this machine by a command of Berth, others as they can be.

    Raises:
        StoryError: when nobody said how, or it does not work.
    """
    fleet = stage.insist("the fleet", stage.engine.fleet)
    if next(one.executor for one in fleet.clusters if one.name == cluster) == "local":
        stage.insist("the fault", lambda: stage.command("cluster", "fail", cluster, "--yes"))
        return
    if not stage.fail_with:
        raise StoryError(f"{cluster} is no cluster of this machine", fix="set BERTH_DEMO_FAIL_WITH")
    stage.teller.say(f"the power of {cluster} is cut")
    if subprocess.run(stage.fail_with, check=False).returncode:
        raise StoryError(f"{cluster} did not fail")


def capacity(stage: Stage) -> Outcome:
    """Hold the forecast of GPU demand against the fleet."""
    stage.teller.scene("Plan ahead: GPU demand against the fleet")
    page = stage.space.home / "reports" / "capacity.html"
    page.parent.mkdir(exist_ok=True)
    stage.insist(
        "the capacity report",
        lambda: stage.command(
            *("capacity", str(stage.space.demand), "--fleet", str(stage.space.gpu_fleet)),
            *("--as-of", _today(), "--html", str(page)),
        ),
    )
    named = re.search(r"\bc-[a-z2-7]{8}\b", page.read_text(encoding="utf-8"))
    return Outcome(
        figures={
            "capacity: report": named.group() if named else "",
            "capacity: page": str(page),
            "capacity: bytes": _size(page),
        }
    )


def _today() -> str:
    """Return the start of this day; the demand file counts hours up to it."""
    return time.strftime("%Y-%m-%dT00:00:00Z", time.gmtime())


def _size(path: Path) -> int:
    return path.stat().st_size


def _callers(stage: Stage) -> traffic.Traffic:
    return traffic.Traffic(
        stage.space.held_out,
        stage.space.labels,
        stage.gate.url,
        model=PIPELINE,
        requests_per_second=REQUESTS_PER_SECOND,
    )


def _playing(stage: Stage) -> traffic.Traffic:
    if stage.callers is None:
        raise StoryError("nobody calls the model yet: `serve` comes first")
    return stage.callers


def _heard(tally: traffic.Tally) -> str:
    return (
        f"{tally.sent} requests, {tally.failed} failed, {words.share(tally.quality)} answered right"
    )


def _answers(callers: traffic.Traffic) -> bool:
    seen = callers.tally()
    return seen.sent > 0 and not seen.last_failed


def _follow(stage: Stage, run_id: str) -> None:
    """Say each task's change of state until the run has ended, and insist on its success."""
    known: dict[str, str] = {}

    def look() -> dispatches.Run | None:
        found = stage.engine.status(run_id)
        for task in found[0].tasks if found else ():
            ran = task.cluster and task.state is not dispatches.TaskState.SKIPPED
            where = f" on {task.cluster}/{task.pool}" if ran else ""
            state = f"{task.task:<15}{task.state.value}{where}"
            if known.get(task.task) != state and task.state is not dispatches.TaskState.WAITING:
                known[task.task] = state
                stage.teller.say(state)
        run = stage.engine.run(run_id)
        return None if run.state is dispatches.RunState.ACTIVE else run

    run = stage.until(f"the end of {run_id}", look)
    if run.state is not dispatches.RunState.SUCCEEDED:
        raise StoryError(f"run {run_id} {run.state.value}: {run.reason}")
    stage.teller.say(f"{run_id} {run.state.value}")


def _action_ids(stage: Stage) -> set[str]:
    return {action.action_id for action in stage.insist("the actions", stage.engine.actions)}


def _answer(
    stage: Stage, kind: alarms.ActionKind, known: set[str]
) -> tuple[alarms.Action, alarms.SuperAlarm]:
    """Wait for a new action of this kind, carried out as far as its run or plan."""

    def look() -> tuple[alarms.Action, alarms.SuperAlarm] | None:
        for action in stage.engine.actions():
            ready = action.run_id if kind is alarms.ActionKind.RETRAIN else action.plan_id
            if action.kind is kind and action.action_id not in known and ready:
                return action, stage.engine.super_alarm(action.super_alarm_id)
        return None

    return stage.until(f"an action of kind {kind.value!r}", look)


def _retrains(stage: Stage) -> list[alarms.Action]:
    found = stage.insist("the actions", stage.engine.actions)
    return [action for action in found if action.kind is alarms.ActionKind.RETRAIN]


def _deployment(stage: Stage) -> dispatches.Deployment:
    found = stage.insist("the deployments", stage.engine.deployments)
    return next(one for one in found if one.pipeline == PIPELINE)


def _serving_cluster(stage: Stage) -> str:
    """Return the cluster of the attempt that serves now, once there is one with an address."""

    def look() -> str | None:
        one = _deployment(stage)
        if not one.endpoint or one.serving is None:
            return None
        for attempt in stage.engine.attempts(str(one.attempt_id).split(".", maxsplit=1)[0]):
            if attempt.attempt_id == one.attempt_id:
                return attempt.cluster
        return None

    return stage.until("the cluster that serves", look)


def _plan_in_force(stage: Stage) -> str:
    return stage.engine.run(_deployment(stage).run_id).plan_id


def _if(value: T, holds: Callable[[T], bool]) -> T | None:
    return value if holds(value) else None
