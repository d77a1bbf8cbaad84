"""Lambda, the share of what lies between mean and high need that a pool must hold.

A pool holds mean + lambda (high - mean) of its tasks. Lambda is set by bisection on joint
scenarios so that the pool overflows no more often than is allowed, and fresh scenarios verify it.
Set to the very edge, half of all verifications would fail by chance; so the bisection is asked
for a little less, `with_margin`, and a verification fails by chance about once in forty.

`placement.search.multiplexing` does this for the pools of a plan, `placement.multiplexing.sizing`
for tasks of which only the population is known.
"""

from __future__ import annotations

import math
from collections.abc import Callable

BISECTIONS = 12

MARGIN_DEVIATIONS = 2.0
"""Standard deviations of the difference of two samples' overflow that are kept as a margin."""


def with_margin(allowed: float, scenarios: int) -> float:
    """Return the overflow to ask for in one sample so that a fresh one shows at most `allowed`.

    Args:
        allowed: Largest probability of overflow.
        scenarios: Size of each of the two samples.
    """
    deviation = math.sqrt(2.0 * allowed * (1.0 - allowed) / scenarios)
    return max(allowed - MARGIN_DEVIATIONS * deviation, 0.0)


def least_share(overflow: Callable[[float], float], allowed: float) -> float:
    """Return the least lambda between 0 and 1 at which no more overflows than is allowed.

    Args:
        overflow: Share of scenarios that overflow at a lambda; never rises with it.
        allowed: Largest share.

    Returns:
        The upper end of the last interval: 1 where no smaller lambda is enough.
    """
    low, high = 0.0, 1.0
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (low, middle) if overflow(middle) <= allowed else (middle, high)
    return high
