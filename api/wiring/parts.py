"""What an application is made of, and how it is made of settings.

`build` makes what every face needs: store, fleet, planner. What only a running engine has (its
executors, detectors and loops) is added by `api.wiring.engine`.
"""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

import forecasting
import placement
from api.messages import files
from api.settings import Settings
from api.wiring import fleets
from api.wiring.clocks import ScaledClock
from engine import documents, planning, plugins, store
from engine.capacity import CapacityPlanner
from engine.model.errors import Fault, InvalidInputError, NotFoundError
from engine.model.fleet import Cluster, Fleet, NodeShape, Pool, Provider
from engine.model.identifiers import FREE, ClusterName, PoolName
from engine.model.profiles import RunRecord
from engine.ports import FleetSource, Forecaster, Ledger, Placer
from executors.local import ClusterSwitch, FileFleetSource

if TYPE_CHECKING:
    from executors.kubernetes import KubernetesClusters

_GIB = 1024**3


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The parts of an application. Only `close` has an effect."""

    settings: Settings
    version: str
    clock: ScaledClock
    ledger: Ledger
    switch: ClusterSwitch
    fleet: FleetSource
    planner: planning.Planner
    forecaster: Forecaster
    learning: forecasting.LearningStore
    history: tuple[RunRecord, ...]
    kubernetes: KubernetesClusters | None = None
    closers: tuple[Callable[[], None], ...] = ()

    def capacity(self) -> CapacityPlanner:
        """Return the planner of capacity; its forecaster loads when it is first asked for."""
        network = self.settings.demand_network == "on"
        return CapacityPlanner(forecasting.DemandChooser(network=network), self.version)

    def close(self) -> None:
        """Close the store and end every wait."""
        self.clock.stop()
        for close in self.closers:
            close()


def build(settings: Settings, *, fleet: Fleet | None = None) -> Parts:
    """Return the parts of an application.

    fleet: instead of the one in the settings.

    Raises:
        BerthError: when the data folder, the database, the fleet file or a plugin cannot be
            used; names which and why.
    """
    clock = ScaledClock(settings.clock_factor)
    switch = ClusterSwitch(settings.home)
    clusters = fleet or read_fleet(settings)
    history = read_history(settings)
    learning = forecasting.LearningStore(settings.home / "learning")
    forecaster = _forecaster(settings, learning)
    planner = planning.Planner(forecaster, _placer(settings), version())
    prepare_home(settings.home)
    ledger = store.open_ledger(settings.database_url)
    clusters_beyond = fleets.kubernetes_clusters(settings)
    return Parts(
        settings=settings,
        version=version(),
        clock=clock,
        ledger=ledger,
        switch=switch,
        fleet=fleets.joined(FileFleetSource(clusters, switch), clusters_beyond),
        planner=planner,
        forecaster=forecaster,
        learning=learning,
        history=history,
        kubernetes=clusters_beyond,
        closers=(ledger.close, *((clusters_beyond.stop,) if clusters_beyond else ())),
    )


def version() -> str:
    """Return the version of Berth."""
    return importlib.metadata.version("berth")


def prepare_home(home: Path) -> None:
    """Make the data folder.

    Raises:
        InvalidInputError: when it cannot be made or written.
    """
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = f"the data folder {str(home)!r} cannot be made: {error.strerror}"
        fault = Fault(code="U012", message=message, fix="choose another with --home")
        raise InvalidInputError("settings", [fault]) from error


def read_fleet(settings: Settings) -> Fleet:
    """Return the fleet of the settings: that of the file, or this machine alone.

    Where there are Kubernetes clusters and no file, this machine runs no tasks.

    Raises:
        InvalidInputError: with all faults of the file.
    """
    if settings.fleet is None:
        return Fleet(clusters=()) if settings.kubernetes else this_machine()
    return documents.read_fleet(files.read_text(settings.fleet, "fleet"), name=str(settings.fleet))


def read_history(settings: Settings) -> tuple[RunRecord, ...]:
    """Return the past runs of the settings' file, none without a file."""
    if settings.history is None:
        return ()
    return forecasting.read_history(files.read_text(settings.history, "history"))


def this_machine() -> Fleet:
    """Return a fleet of this machine alone, at no price: what there is without a fleet file."""
    shape = NodeShape(
        machine="this machine",
        cpu_cores=float(len(os.sched_getaffinity(0))),
        memory_gib=round(psutil.virtual_memory().total / _GIB, 1),
    )
    pool = Pool(
        name=PoolName("machine"), shape=shape, node_count=1, price_micro_dollars_per_hour=FREE
    )
    cluster = Cluster(
        name=ClusterName("here"),
        provider=Provider.ON_PREMISES,
        region="here",
        continent="here",
        pools=(pool,),
    )
    return Fleet(clusters=(cluster,))


def _forecaster(settings: Settings, learning: forecasting.LearningStore) -> Forecaster:
    if not settings.forecaster:
        return forecasting.TaskForecaster(learning.in_force)
    made: Forecaster = plugin("berth.forecasters", settings.forecaster)()
    return made


def _placer(settings: Settings) -> Placer:
    if not settings.placer:
        return placement.CpSatPlacer()
    made: Placer = plugin("berth.placers", settings.placer)()
    return made


def plugin(group: str, name: str) -> Callable[[], Any]:
    """Return the class that an installed distribution registers under a name.

    Raises:
        NotFoundError: when no distribution does; names those that are there.
    """
    found = plugins.load(group)
    if name not in found:
        known = ", ".join(found) or "none"
        message = f"no installed distribution brings {name!r} for {group!r}; there is {known}"
        raise NotFoundError(message, fix="install it beside Berth, or leave the setting out")
    return found[name]
