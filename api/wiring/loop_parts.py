"""What only a running engine has: executors, detectors, and the three loops made of them."""

from __future__ import annotations

import dataclasses
import functools
import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import forecasting
from alarms.detection import drifting
from alarms.detection.settings import DetectionSettings
from alarms.grouping import headlines, super_alarms, topology
from alarms.grouping.topology_file import Topology, load_topology
from alarms.intake.inbox import Inbox
from alarms.intake.prometheus import PrometheusSource, load_prometheus
from alarms.intake.quiet import SenderSilence
from alarms.notification.channels import Channel
from alarms.notification.files import FileNotifier
from alarms.notification.outbox import Courier, OutboxNotifier
from alarms.notification.targets import target_of
from alarms.rootcause import tree
from alarms.rules import detection
from alarms.rules.files import load_rules
from alarms.rules.model import RuleSet
from api.messages.files import read_text
from api.settings import Settings
from api.wiring import notifying, profile_desk
from api.wiring.checks import EngineChecks
from api.wiring.loops import LoopPlan
from api.wiring.parts import Parts, plugin
from api.wiring.rules_file import RulesFile
from api.wiring.run_desk import RunDesk
from api.wiring.servers import EngineServers
from engine import dispatching, expressions, planning, plugins, watching
from engine.model.alarms import ActionKind
from engine.model.errors import Fault, InvalidInputError
from engine.model.identifiers import dollars
from engine.model.records import Term
from engine.ports import Detector, Executor, Notifier, SignalSource
from engine.testing import crash
from engine.watching.checking import Checking
from engine.watching.desk import Desk
from executors import kubernetes
from executors.containers import ContainerExecutor, ContainerSettings
from executors.local import FolderArtifacts, LocalExecutor, LocalSignals, MachineSignals
from executors.serving import HttpModelServer

if TYPE_CHECKING:
    from executors.kubernetes import KubernetesExecutor

_PAUSE_SECONDS = 0.2
_DAY_SECONDS = 86_400.0
_LEARN_PAUSE_SECONDS = 60.0
_COURIER_PAUSE_SECONDS = 1.0
_EXPORT_PAUSE_SECONDS = 5.0
_SCALE_PAUSE_SECONDS = 30.0
_LOOKS_PER_WINDOW = 4
_WINDOWS_OF_ONE_EVENT = 3


def crash_points(settings: Settings) -> crash.CrashPoints | None:
    """Return where to crash, for tests of recovery; None in every other engine."""
    return crash.planned(settings.crash_at, settings.crash_record)


def with_crashes(parts: Parts, points: crash.CrashPoints | None) -> Parts:
    """Return the parts with crash points around every commit."""
    if points is None:
        return parts
    return dataclasses.replace(parts, ledger=crash.CrashingLedger(parts.ledger, points))


def plans(
    parts: Parts,
    term: Term,
    *,
    points: crash.CrashPoints | None = None,
    beyond: KubernetesExecutor | None = None,
) -> tuple[LoopPlan, ...]:
    """Return the loops of an engine: dispatch, plan, watch, check, learn, size, and channels.

    beyond: the executor of Kubernetes, which outlives a term, as `kubernetes_executor` makes it.
    """
    servers = EngineServers(parts.ledger, parts.clock, HttpModelServer(), beyond)
    dispatcher = _dispatcher(parts, term, servers, points, beyond)
    reconciler = planning.ActionReconciler(
        parts.ledger, parts.planner, parts.fleet, parts.clock, term=term
    )
    channels = notifying.read_channels(parts.settings)
    window = parts.settings.scaled(parts.settings.window_seconds)
    rated = detection_of(parts.settings)
    watch = watcher(parts, term, _sources(parts, window), _notifiers(parts, channels), rated)
    return (
        LoopPlan(name="dispatch", step=dispatcher.step, pause_seconds=_PAUSE_SECONDS),
        LoopPlan(name="plan", step=reconciler.step, pause_seconds=_PAUSE_SECONDS),
        LoopPlan(
            name="watch",
            step=_looking(parts, watch, rated),
            pause_seconds=window / _LOOKS_PER_WINDOW,
        ),
        LoopPlan(
            name="check",
            step=_checking(parts, term).step,
            pause_seconds=window / _LOOKS_PER_WINDOW,
        ),
        LoopPlan(
            name="learn",
            step=profile_desk.nightly(parts, parts.settings.scaled(_DAY_SECONDS)),
            pause_seconds=max(parts.settings.scaled(_LEARN_PAUSE_SECONDS), _PAUSE_SECONDS),
        ),
        LoopPlan(
            name="size",
            step=profile_desk.hourly(parts, term),
            pause_seconds=max(parts.settings.scaled(_LEARN_PAUSE_SECONDS), _PAUSE_SECONDS),
        ),
        *_scaling(servers, beyond),
        *(_courier(parts, term, channel) for channel in channels),
        *_tracking(parts),
    )


def _dispatcher(
    parts: Parts,
    term: Term,
    servers: EngineServers,
    points: crash.CrashPoints | None,
    beyond: KubernetesExecutor | None,
) -> dispatching.Dispatcher:
    """Return what starts, sees and ends attempts."""
    return dispatching.Dispatcher(
        parts.ledger,
        _executors(parts, points, beyond),
        FolderArtifacts(parts.settings.home / "artifacts"),
        servers if points is None else crash.CrashingModelServer(servers, points),
        expressions.CelConditions(),
        parts.fleet,
        parts.clock,
        term,
        forecasting.LearnedRemedies(),
        parts.settings.scaled(parts.settings.runs_kept_days * _DAY_SECONDS),
    )


def _sources(parts: Parts, window: float) -> Sequence[SignalSource]:
    """Return where signals come from, each looked at once in so many seconds."""
    home, fleet, clock = parts.settings.home, parts.fleet, parts.clock
    return (
        LocalSignals(home, fleet, clock, window_seconds=window),
        MachineSignals(home, clock, window_seconds=window),
        dispatching.PlanSignals(parts.ledger, clock, window_seconds=window),
        dispatching.FreshnessSignals(parts.ledger, clock, window_seconds=window),
        SenderSilence(parts.ledger, clock, window_seconds=window),
        *_beyond(parts, window),
        *_prometheus(parts),
    )


def _checking(parts: Parts, term: Term) -> Checking:
    """Return what runs the checks that settle causes."""
    desk = Desk(parts.ledger, parts.clock, policy_of(parts.settings), term)
    return Checking(desk, EngineChecks(parts))


def _tracking(parts: Parts) -> tuple[LoopPlan, ...]:
    """Return the loop that exports trainings, where MLflow is configured."""
    if not parts.settings.mlflow:
        return ()
    step = RunDesk(parts).export_new
    return (LoopPlan(name="export", step=step, pause_seconds=_EXPORT_PAUSE_SECONDS),)


def _scaling(servers: EngineServers, beyond: KubernetesExecutor | None) -> Sequence[LoopPlan]:
    """Return the loop that keeps autoscalers at the forecast, where there are any."""
    if beyond is None:
        return ()
    return (LoopPlan(name="scale", step=servers.scale, pause_seconds=_SCALE_PAUSE_SECONDS),)


def kubernetes_executor(parts: Parts) -> KubernetesExecutor | None:
    """Return the executor of Kubernetes clusters, None without any.

    One a process: pods reach it under one address, whoever leads.
    """
    if parts.kubernetes is None:
        return None
    return kubernetes.KubernetesExecutor(
        parts.settings.home,
        parts.kubernetes,
        FolderArtifacts(parts.settings.home / "artifacts"),
        parts.clock,
        replica=parts.settings.replica,
        environment=os.environ,
    )


def _executors(
    parts: Parts, points: crash.CrashPoints | None, beyond: Executor | None
) -> Mapping[str, Executor]:
    """Return executors by the name that clusters call them: ours, and those of plugins."""
    artifacts = FolderArtifacts(parts.settings.home / "artifacts")
    local = LocalExecutor(parts.settings.home, parts.fleet, artifacts, parts.clock)
    made: dict[str, Executor] = {
        name: plugin("berth.executors", name)() for name in plugins.load("berth.executors")
    }
    made["local"] = local
    if any(each.executor == "containers" for each in parts.fleet.fleet().clusters):
        made["containers"] = _containers(parts, artifacts)
    if beyond is not None:
        made["kubernetes"] = beyond
    if points is None:
        return made
    return {name: crash.crashing(executor, points) for name, executor in made.items()}


def _containers(parts: Parts, artifacts: FolderArtifacts) -> ContainerExecutor:
    """Return the executor of clusters whose tasks run in podman's containers.

    Raises:
        InvalidInputError: when no image is set. RetryableError: when podman does not answer.
    """
    settings = parts.settings
    if not settings.container_image:
        message = "the fleet has clusters with `executor: containers`, and no image is set"
        fix = (
            "set `container_image` to what their tasks run in; "
            "`berth image build berth:0.1 --podman` makes one with Berth in it"
        )
        raise InvalidInputError("settings", [Fault(code="U010", message=message, fix=fix)])
    told = ContainerSettings(
        image=settings.container_image,
        podman=tuple(shlex.split(settings.container_podman)),
        options=tuple(shlex.split(settings.container_options)),
        python=settings.container_python,
    )
    return ContainerExecutor(settings.home, parts.fleet, artifacts, parts.clock, told)


def detection_of(settings: Settings) -> detection.Detection:
    """Return statistics, or the plugin that stands for them, with the rules of the settings' file.

    Raises:
        InvalidInputError: with all faults of the file.
        NotFoundError: when no installed distribution brings the plugin.
    """
    made: Detector | None = None
    if settings.detector:
        made = plugin("berth.detectors", settings.detector)()
    statistics = DetectionSettings(season_seconds=settings.season_seconds)
    return detection.Detection(
        statistics.scaled(settings.clock_factor), read_rules(settings), statistics=made
    )


def _looking(
    parts: Parts, watch: watching.Watcher, rated: detection.Detection
) -> Callable[[], bool]:
    """Return the step of the watch loop, before which the file of rules is looked at."""
    path = parts.settings.rules
    if path is None:
        return watch.step
    file = RulesFile(path, rated.use, parts.ledger, parts.clock)

    def step() -> bool:
        file.look()
        return watch.step()

    return step


def watcher(
    parts: Parts,
    term: Term,
    sources: Sequence[SignalSource],
    notifiers: Sequence[Notifier],
    rated: detection.Detection,
) -> watching.Watcher:
    """Return the watch loop; a replay has the same one with sources of its own.

    rated: statistics and rules, as `detection_of` returns them.
    """
    settings = parts.settings
    rules = read_rules(settings)
    told = read_topology(settings)
    # Series of one event alarm up to a few windows apart: each is looked at once a window.
    gap = max(
        super_alarms.GroupingSettings().gap_seconds, _WINDOWS_OF_ONE_EVENT * settings.window_seconds
    )
    grouping = super_alarms.GroupingSettings(gap_seconds=gap)
    return watching.Watcher(
        parts.ledger,
        (*sources, Inbox(parts.ledger)),
        drifting.DriftDetector(
            rated, drifting.watch_settings(settings.season_seconds / settings.clock_factor)
        ),
        super_alarms.SuperAlarmGrouper(
            grouping.scaled(settings.clock_factor),
            topology=[*topology.topology(parts.fleet.fleet()), *told.pairs],
        ),
        tree.HypothesisTree(
            tree.CauseSettings(conversions=rules.conversions, calls=told.calls).scaled(
                settings.clock_factor
            )
        ),
        notifiers,
        parts.clock,
        policy_of(settings),
        term,
        rated.judged,
        functools.partial(watching.verdicts, parts.ledger),
        headlines.title_of,
    )


def policy_of(settings: Settings) -> watching.WatchPolicy:
    """Return what the watch loop may do by itself, by the settings and their clock."""
    allowed = {name.strip() for name in settings.acts.split(",")}
    budget = settings.acts_budget
    mend = watching.MendPolicy(
        kinds=frozenset(kind for kind in watching.MendPolicy().kinds if kind.value in allowed),
        times_per_day=settings.acts_per_day,
        budget_per_day_micro_dollars=None if budget is None else dollars(budget),
    )
    policy = watching.WatchPolicy(
        replan=ActionKind.REPLAN.value in allowed,
        retrain=ActionKind.RETRAIN.value in allowed,
        mend=mend,
        flap_seconds=settings.flap_seconds,
    )
    return policy.scaled(settings.clock_factor)


def read_rules(settings: Settings) -> RuleSet:
    """Return the expert rules of the settings' file, none without a file.

    Raises:
        InvalidInputError: with all faults of the file.
    """
    if settings.rules is None:
        return RuleSet()
    return load_rules(read_text(settings.rules, "rules"), str(settings.rules))


def read_topology(settings: Settings) -> Topology:
    """Return the topology of the settings' file, an empty one without a file.

    Raises:
        InvalidInputError: with all faults of the file.
    """
    if settings.topology is None:
        return Topology()
    return load_topology(read_text(settings.topology, "topology"), str(settings.topology))


def _beyond(parts: Parts, window_seconds: float) -> Sequence[SignalSource]:
    """Return what looks at Kubernetes clusters, and hears their pods, where there are any."""
    if parts.kubernetes is None:
        return ()
    journal = kubernetes.Journal(kubernetes.signals_folder(parts.settings.home), parts.clock)
    return (
        kubernetes.KubernetesSignals(parts.fleet, parts.clock, window_seconds=window_seconds),
        kubernetes.NodeSignals(
            parts.kubernetes, parts.fleet, parts.clock, window_seconds=window_seconds
        ),
        kubernetes.PodSignals(journal, parts.fleet, parts.clock),
    )


def _prometheus(parts: Parts) -> Sequence[SignalSource]:
    """Return the Prometheus server that is asked for signals, where the settings name one."""
    path = parts.settings.prometheus
    if path is None:
        return ()
    return (
        PrometheusSource(load_prometheus(read_text(path, "prometheus"), str(path)), parts.clock),
    )


def _notifiers(parts: Parts, channels: Sequence[Channel]) -> Sequence[Notifier]:
    """Return who tells people: a file, the outbox, and every notifier that is installed."""
    file = FileNotifier(parts.settings.home / "notifications.jsonl")
    away_seconds = policy_of(parts.settings).flap_seconds
    outbox = OutboxNotifier(parts.ledger, parts.clock, channels, away_seconds=away_seconds)
    others = [plugin("berth.notifiers", name)() for name in plugins.load("berth.notifiers")]
    return (file, outbox, *others)


def _courier(parts: Parts, term: Term, channel: Channel) -> LoopPlan:
    """Return the loop that sends the messages of a channel; a slow target holds up no other."""
    desk = Desk(parts.ledger, parts.clock, watching.WatchPolicy(), term)
    courier = Courier(desk, channel, target_of(channel))
    return LoopPlan(
        name=f"channel {channel.name}", step=courier.step, pause_seconds=_COURIER_PAUSE_SECONDS
    )
