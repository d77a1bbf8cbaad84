"""What running services should hold in the next hour, and what their requests will ask for.

The port `ServiceSizer`. Each resource is sized over all services that were measured
(`profiles.rightsizing`): the family and its knob are chosen by back-test for the share of shortage
with which the service keeps its promises. Where requests are known, the cores of the coming hours
are told from the forecast of requests (`profiles.request_load`), and the next hour's count where
they ask for more. A service with nobody beside it teaches itself: its past is cut in two.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from engine.model.capacity import DemandSeries
from engine.model.profiles import QUANTILE_LEVELS, Quantiles
from engine.model.resources import Resource
from engine.model.sizing import (
    WHOLE_HOURS,
    ServiceSize,
    ServiceUse,
    SizedAmount,
    SizingPolicy,
)
from engine.ports import DemandForecaster
from forecasting.conformal import rising
from forecasting.profiles.possible import possible
from forecasting.profiles.recommenders import Violation
from forecasting.profiles.request_load import RequestLoad
from forecasting.profiles.rightsizing import Chosen, Rightsizer, worth_changing
from forecasting.profiles.windows import Vector

FEWEST_HOURS = 8
"""A service with fewer measured hours is not sized: nothing could be held out."""
_FEWEST_TO_FORECAST = 48
"""Hours of requests from which they are forecast; before, the last hour stands for the next."""
_AHEAD_HOURS = 24
_LEAST = 1e-3


@dataclass(frozen=True, slots=True)
class _Told:
    """What the chosen method holds for one service: in the next hour, and at most lately."""

    wanted: float
    chosen: Chosen
    services: int


class HourlySizer:
    """Sizes services from their measured hours. Pure but for the forecaster of requests.

    demand: makes the forecaster of requests, when there are hours enough.
    seed: of trees and folds.
    """

    def __init__(self, demand: Callable[[], DemandForecaster], *, seed: int = 0) -> None:
        self._demand = demand
        self._seed = seed

    def sizes(
        self, services: Sequence[ServiceUse], policy: SizingPolicy, *, at: float
    ) -> tuple[ServiceSize, ...]:
        """Return a recommendation for each service, in their order."""
        checked = [possible(each) for each in services]
        services = [service for service, _ in checked]
        told = {
            resource: self._resource(services, resource, policy)
            for resource in Resource
            if any(resource in each.used for each in services)
        }
        ahead = self._ahead(services, at)
        return tuple(
            _noted(
                _size(
                    each, {r: found[place] for r, found in told.items()}, ahead[place], policy, at
                ),
                left_out,
            )
            for place, (each, left_out) in enumerate(checked)
        )

    def _resource(
        self, services: Sequence[ServiceUse], resource: Resource, policy: SizingPolicy
    ) -> list[_Told | None]:
        """Return what each service should hold of a resource, None where too little is known."""
        used = _matrix(services, resource)
        known = np.isfinite(used).any(axis=2).sum(axis=1) >= FEWEST_HOURS
        found: list[_Told | None] = [None] * len(services)
        if not known.any() or not np.nanmax(used[known]) > 0:
            return found
        whole = resource in WHOLE_HOURS
        allowed = [policy.allowed(resource, each.promised) for each in services]
        mine = used[known]
        sizer = Rightsizer(
            mine if len(mine) > 1 else _halves(mine[0]),
            violation=Violation.WINDOW if whole else Violation.SAMPLE,
            seed=self._seed,
        )
        next_hour = np.full((len(mine), 1, mine.shape[2]), np.nan)
        first = max(mine.shape[1] + 1 - policy.stands_hours, 1)
        until_next = np.concatenate([mine, next_hour], axis=1)
        places = [int(place) for place in np.flatnonzero(known)]
        for share in sorted({allowed[place] for place in places}):
            chosen = sizer.choose(share)
            rows, amounts = sizer.recommend(until_next, chosen, first_hour=first)
            for row, place in enumerate(places):
                if allowed[place] == share:
                    # Smaller only where each hour of the last day would have wanted it smaller.
                    most = float(amounts[rows.service == row].max())
                    found[place] = _Told(max(most, _LEAST), chosen, len(mine))
        return found

    def _ahead(self, services: Sequence[ServiceUse], at: float) -> list[tuple[Quantiles, ...]]:
        """Return the cores that requests ask for in each coming hour, () where nobody knows."""
        found: list[tuple[Quantiles, ...]] = [()] * len(services)
        if not any(Resource.CPU in each.used for each in services):
            return found
        used = _matrix(services, Resource.CPU)
        rates = np.array([each.requests for each in services], dtype=np.float64)
        both = np.isfinite(rates) & np.isfinite(used).any(axis=2)
        asked = [int(place) for place in np.flatnonzero(both.sum(axis=1) >= FEWEST_HOURS)]
        if not asked or not np.nanmax(used[asked]) > 0:
            return found
        load = RequestLoad(used[asked], rates[asked], own_hours=False, seed=self._seed)
        for place in asked:
            coming = self._rates(services[place], at)
            nothing = np.full((1, len(coming), used.shape[2]), np.nan)
            told = load.quantiles(nothing, np.array([coming]))[0]
            found[place] = tuple(rising(row.tolist()) for row in told)
        return found

    def _rates(self, service: ServiceUse, at: float) -> list[float]:
        """Return the requests a second that each coming hour is expected to bring."""
        known = [rate for rate in service.requests if np.isfinite(rate)]
        if len(known) < _FEWEST_TO_FORECAST:
            return [known[-1]]
        series = DemandSeries(
            pool=f"{service.pipeline}/{service.task}",
            unit="requests a second",
            starts_at=at - 3_600.0 * len(service.requests),
            values=service.requests,
        )
        told = self._demand().forecast(series, hours=_AHEAD_HOURS, seed=self._seed)
        return [hour.p50 for hour in told.hours]


def _size(
    service: ServiceUse,
    told: dict[Resource, _Told | None],
    ahead: tuple[Quantiles, ...],
    policy: SizingPolicy,
    at: float,
) -> ServiceSize:
    """Return the recommendation for one service."""
    amounts = tuple(
        _amount(service, resource, one, ahead, policy)
        for resource, one in told.items()
        if one is not None
    )
    hours = max((_known_hours(service, resource) for resource in service.used), default=0)
    note = "" if amounts else f"{hours} hours were measured; it takes {FEWEST_HOURS}"
    return ServiceSize(
        pipeline=service.pipeline,
        task=service.task,
        at=at,
        cluster=service.cluster,
        pool=service.pool,
        amounts=amounts,
        ahead=ahead,
        note=note,
    )


def _noted(size: ServiceSize, left_out: str) -> ServiceSize:
    """Return a recommendation that says what of the measured use was left out."""
    return dataclasses.replace(size, note="; ".join(filter(None, (left_out, size.note))))


def _amount(
    service: ServiceUse,
    resource: Resource,
    told: _Told,
    ahead: tuple[Quantiles, ...],
    policy: SizingPolicy,
) -> SizedAmount:
    """Return one amount with the reason to change it or not."""
    allowed = policy.allowed(resource, service.promised)
    wanted, method = told.wanted, told.chosen.family.value
    if resource is Resource.CPU and ahead:
        level = min(1.0 - allowed, QUANTILE_LEVELS[-1])
        asked = max(hour.at(level) for hour in ahead)
        if asked > wanted:
            wanted, method = asked, "requests to come"
    held = service.held.of(resource)
    changes, why = _worth(service, resource, held, wanted, policy)
    used = np.array(service.used[resource], dtype=np.float64)
    return SizedAmount(
        resource=resource,
        held=held,
        wanted=wanted,
        used_most=float(np.nanmax(used)),
        changes=changes,
        method=method,
        allowed=allowed,
        short=told.chosen.violations,
        held_over_used=told.chosen.held_over_used,
        hours=_known_hours(service, resource),
        services=told.services,
        why=why,
    )


def _worth(
    service: ServiceUse, resource: Resource, held: float, wanted: float, policy: SizingPolicy
) -> tuple[bool, str]:
    """Return whether a change repays a restart, and why."""
    if held <= 0:
        return False, "nothing is held of it, so nothing limits it"
    if resource in service.stated:
        return False, "a person insists on what it holds"
    if wanted > held:
        return True, "it would be short of it more often than allowed"
    cost = policy.restart_hours * held
    if worth_changing(held, wanted, restart_cost=cost, hours=float(policy.stands_hours)):
        return True, f"what it spares in {policy.stands_hours} h repays a restart"
    return False, "what it would spare does not repay a restart"


def _matrix(services: Sequence[ServiceUse], resource: Resource) -> Vector:
    """Return (services, hours, samples) of a resource, NaN where nothing was measured."""
    shapes = (np.shape(each.used[r]) for each in services for r in each.used)
    shape = functools.reduce(lambda one, _: one, shapes)
    unknown = np.full(shape, np.nan)
    return np.array([each.used.get(resource, unknown) for each in services], dtype=np.float64)


def _halves(used: Vector) -> Vector:
    """Return the two halves of one service's hours as if they were two services."""
    half = len(used) // 2
    return np.stack([used[:half], used[len(used) - half :]])


def _known_hours(service: ServiceUse, resource: Resource) -> int:
    return int(np.isfinite(np.array(service.used[resource], dtype=np.float64)).any(axis=1).sum())
