"""What can be done about a shortage, what each answer costs and how many hours it keeps.

Costs are for a month of 30 days like the horizon, beside what is paid today. An hour is kept
when P95 of its demand finds room.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from engine.capacity.supply import Offer
from engine.model.capacity import CapacityOption
from engine.model.identifiers import FREE, MicroDollars

_DAY = 24
_MONTH_HOURS = 720.0
_SPECK = 1e-9
_TIMES = "\u00d7"


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumptions:
    """What a fleet file does not say.

    flexible_share: share of an hour's demand that may run at another hour of the same day.
    reserved_price: price of a node reserved for a year as a share of its price on demand;
        0.63 is what one-year terms without prepayment cost at large clouds.
    """

    flexible_share: float = 0.15
    reserved_price: float = 0.63


def options_for(
    demand: Sequence[float], supply: float, offer: Offer | None, assumptions: Assumptions
) -> tuple[CapacityOption, ...]:
    """Return every answer to hourly demand (P95) against a supply; `do nothing` is the first."""
    short = [max(0.0, needed - supply) for needed in demand]
    nothing = CapacityOption(
        name="do nothing",
        description=f"{_percent(1 - _kept(short))} of hours run short at P95",
        cost_micro_dollars_per_month=FREE,
        keeps=_kept(short),
        reversible=True,
    )
    if not any(short):
        return (nothing,)
    left = _after_moving(demand, supply, assumptions.flexible_share)
    gained = round((_kept(left) - _kept(short)) * len(short))
    moved = CapacityOption(
        name="move",
        description=(
            f"up to {_percent(assumptions.flexible_share)} of an hour's load goes to other hours "
            f"of its day; keeps {gained} more hours"
        ),
        cost_micro_dollars_per_month=FREE,
        keeps=_kept(left),
        reversible=True,
    )
    if offer is None:
        return (nothing, moved)
    added = _owned(short, offer) if offer.owned else _rented(short, left, offer, assumptions)
    return (nothing, moved, *added)


def answer(options: Sequence[CapacityOption]) -> CapacityOption | None:
    """Return the cheapest option that keeps every hour, the reversible one of two equals.

    None when doing nothing keeps them, or when nothing does.
    """
    enough = [option for option in options if option.keeps >= 1.0]
    if not enough or enough[0] is options[0]:
        return None
    return min(enough, key=lambda o: (o.cost_micro_dollars_per_month, not o.reversible))


def _rented(
    short: Sequence[float], left: Sequence[float], offer: Offer, assumptions: Assumptions
) -> tuple[CapacityOption, ...]:
    """Return the answers of a cloud: by the hour, after moving, for the month, for a year."""
    nodes = _nodes(max(short), offer)
    month = _MONTH_HOURS * offer.price_micro_dollars_per_hour * nodes
    many = f"{nodes:,} {_TIMES} {offer.machine}"
    by_hour = CapacityOption(
        name="rent by the hour",
        description=f"up to {many} on demand, in the hours that run short",
        cost_micro_dollars_per_month=_by_the_hour(short, offer),
        keeps=1.0,
        reversible=True,
        node_count=nodes,
    )
    rest = CapacityOption(
        name="move, rent the rest",
        description=(
            "move what can be moved, then up to "
            f"{_nodes(max(left), offer):,} {_TIMES} {offer.machine} by the hour"
        ),
        cost_micro_dollars_per_month=_by_the_hour(left, offer),
        keeps=1.0,
        reversible=True,
        node_count=_nodes(max(left), offer),
    )
    all_month = CapacityOption(
        name="rent",
        description=f"{many} on demand, all month",
        cost_micro_dollars_per_month=MicroDollars(round(month)),
        keeps=1.0,
        reversible=True,
        node_count=nodes,
    )
    reserved = CapacityOption(
        name="reserve",
        description=f"{many} reserved for a year, at {_percent(assumptions.reserved_price)}",
        cost_micro_dollars_per_month=MicroDollars(round(month * assumptions.reserved_price)),
        keeps=1.0,
        reversible=False,
        node_count=nodes,
    )
    both = (rest,) if max(left) > _SPECK and sum(left) < sum(short) else ()
    return (by_hour, *both, all_month, reserved)


def _owned(short: Sequence[float], offer: Offer) -> tuple[CapacityOption, ...]:
    """Return the answer on premises: nodes are bought, and cost their rate at every hour."""
    nodes = _nodes(max(short), offer)
    month = _MONTH_HOURS * offer.price_micro_dollars_per_hour * nodes
    return (
        CapacityOption(
            name="buy",
            description=f"{nodes:,} {_TIMES} {offer.machine}, at the fleet's rate for each hour",
            cost_micro_dollars_per_month=MicroDollars(round(month)),
            keeps=1.0,
            reversible=False,
            node_count=nodes,
        ),
    )


def _after_moving(demand: Sequence[float], supply: float, flexible: float) -> list[float]:
    """Return what stays short when flexible load goes to hours of the same day with room."""
    left: list[float] = []
    for start in range(0, len(demand), _DAY):
        day = demand[start : start + _DAY]
        room = sum(max(0.0, supply - needed) for needed in day)
        given = [min(max(0.0, needed - supply), flexible * needed) for needed in day]
        share = min(1.0, room / sum(given)) if any(given) else 0.0
        left += [
            max(0.0, needed - supply) - share * gives
            for needed, gives in zip(day, given, strict=True)
        ]
    return left


def _by_the_hour(short: Sequence[float], offer: Offer) -> MicroDollars:
    """Return the cost of renting each hour's shortage, scaled from the horizon to a month."""
    node_hours = sum(_nodes(units, offer) for units in short)
    price = offer.price_micro_dollars_per_hour
    return MicroDollars(round(node_hours * price * _MONTH_HOURS / len(short)))


def _nodes(units: float, offer: Offer) -> int:
    """Return the whole nodes that so many units take."""
    return math.ceil((units - _SPECK) / offer.units_per_node)


def _kept(short: Sequence[float]) -> float:
    """Return the share of hours without shortage."""
    return sum(units <= _SPECK for units in short) / len(short)


def _percent(share: float) -> str:
    """Return a share in words."""
    return f"{100 * share:.1f} %".replace(".0 %", " %")
