"""How many processes of a serve task an autoscaler may run, from the forecast. Pure."""

from __future__ import annotations

import math

from engine.model.profiles import Profile
from engine.model.resources import Resource

HOUR_SECONDS = 3_600.0
_LEAST_LEVEL, _MOST_LEVEL = 0.5, 0.99
_SLACK = 1e-9


def replica_bounds(profile: Profile | None, now: float) -> tuple[int, int]:
    """Return the least and the most replicas for this hour and the next; (1, 1) without a profile.

    The profile's replicas are those of its busiest slot at the median; a slot needs its share of
    them. The least is what the median of the quieter hour needs, the most what the 99th percentile
    of the busier one does, so that whoever scales between them is never far from either.

    now: seconds since 1970; slots are hours of the day in UTC.
    """
    if profile is None:
        return 1, 1
    slots = profile.use.get(Resource.CPU, ())
    peak = max((slot.at(_LEAST_LEVEL) for slot in slots), default=0.0)
    if peak <= 0.0:
        return profile.replicas, profile.replicas
    hour = int(now // HOUR_SECONDS)
    near = [slots[(hour + ahead) % len(slots)] for ahead in (0, 1)]
    least = min(slot.at(_LEAST_LEVEL) for slot in near) / peak
    most = max(slot.at(_MOST_LEVEL) for slot in near) / peak
    counts = [max(1, math.ceil(share * profile.replicas - _SLACK)) for share in (least, most)]
    return counts[0], max(counts)
