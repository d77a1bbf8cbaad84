"""What is asked of the engine, the same by command line, client and REST."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.model.identifiers import MicroDollars
from engine.model.plans import Mode


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One pipeline as it was written: YAML text, or a mapping with the same keys.

    name: what errors call it. folder: absolute path where its relative paths start, "" for the
    engine's own folder.
    """

    name: str
    text: str = ""
    mapping: Mapping[str, Any] | None = None
    folder: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanQuestion:
    """A plan is asked for. None leaves a choice to the engine's settings, or to its clock.

    whole: a pipeline is placed with all its tasks or not at all.
    budget_micro_dollars: most that all tasks together may cost, services for the horizon; only in
        mode `most-sla`. None for no limit beside those of the pipelines.
    """

    documents: tuple[Document, ...]
    mode: Mode = Mode.LEAST_COST
    seed: int | None = None
    as_of: float | None = None
    horizon_hours: int = 24
    whole: bool = False
    budget_micro_dollars: MicroDollars | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIfQuestion:
    """The same plan is asked for under changes.

    changes: each as people write it (`deadline=04:00`, `cluster:eu-1=down`, `demand=x1.5`).
    """

    plan_id: str
    changes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepQuestion:
    """The same plan is asked for at every value of a key between two.

    sweep: `KEY=A..B` or `KEY=A..B/STEP` (`deadline=02:00..08:00/30m`); changes: made at each.
    """

    plan_id: str
    sweep: str
    changes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SilenceQuestion:
    """A super-alarm shall be quiet for a while, and why."""

    seconds: float
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CapacityQuestion:
    """Demand against supply. None leaves a choice to the engine's settings, or to its clock.

    demand: text of a demand file; "" for the one in the settings. source: what the report calls
    it. as_of: the forecast starts there; None means after the last value of the series.
    fleet: text of a fleet file to hold the demand against; "" for the engine's own fleet.
    holidays: dates, one a line, past and to come; zone: whose days they are.
    """

    horizon_hours: int = 168
    seed: int | None = None
    as_of: float | None = None
    demand: str = ""
    source: str = ""
    fleet: str = ""
    holidays: str = ""
    zone: str = "UTC"


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastQuestion:
    """Demand of one pool, or of each, is to be forecast.

    pool: "" for all of them; the others as in `CapacityQuestion`. totals: series that are sums, by
    name, with their parts: pools, other totals, or patterns of names of pools.
    """

    pool: str = ""
    horizon_hours: int = 168
    seed: int | None = None
    as_of: float | None = None
    demand: str = ""
    source: str = ""
    holidays: str = ""
    zone: str = "UTC"
    totals: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfilesQuestion:
    """What tasks of documents will need is asked for, without a plan.

    task: `TASK` or `PIPELINE/TASK`; "" for all of them. as_of: None for now.
    """

    documents: tuple[Document, ...]
    task: str = ""
    as_of: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckQuestion:
    """Documents are to be checked: form, units, references, reachable data."""

    documents: tuple[Document, ...] = field(default=())
