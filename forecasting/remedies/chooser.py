"""Whether another attempt is worth it, and which: the port `RemedyChooser`, learned.

A success is worth so many times what the planned attempt costs. An option's value is its chance
times that worth less what it is expected to cost; the best one is taken where its value is above
nothing. So a retry with little chance is not made, and of two with equal chance the cheaper one is.
"""

from __future__ import annotations

from engine.model.failures import Failure
from engine.model.remedies import Configuration, Remedy, RemedyStep
from forecasting.remedies.options import Weighed, share_hours, weighed

_WORTH = 8.0
"""What a success is worth, in costs of the planned attempt."""
_LEAST_SUCCESS = 0.1
"""Below it no retry is made, however cheap."""
_SHOWN = 4


class LearnedRemedies:
    """Chooses by what past retries came to and past runs needed; keeps nothing itself."""

    def choose(self, failure: Failure) -> Remedy:
        """Return the remedy, with the options that were weighed, the chosen one first."""
        place = failure.places[0]
        planned = share_hours(failure, place, Configuration())
        if any(each.price_micro_dollars_per_hour > 0 for each in failure.places):
            planned *= place.price_micro_dollars_per_hour
        options = weighed(failure)
        if not options:
            return Remedy(
                diagnosis=failure.diagnosis,
                step=RemedyStep.NONE,
                why="nothing can be changed: no machine beside it has more",
            )
        largest = max(planned, min(one.weight for one in options) / 2.0)
        ranked = sorted(options, key=lambda one: _value(one, largest), reverse=True)
        return _remedy(failure, ranked, largest)


def _value(one: Weighed, planned: float) -> float:
    return one.option.success * _WORTH * planned - one.weight


def _remedy(failure: Failure, ranked: list[Weighed], planned: float) -> Remedy:
    best = ranked[0]
    chance = f"{best.option.success:.0%}"
    shown = tuple(one.option for one in ranked[:_SHOWN])
    if best.option.success < _LEAST_SUCCESS or _value(best, planned) <= 0:
        why = f"the best retry ({best.option.step.value}) succeeds with {chance} only"
        return Remedy(
            diagnosis=failure.diagnosis,
            step=RemedyStep.NONE,
            why=why,
            success=best.option.success,
            options=shown,
            learned_from=best.learned_from,
        )
    learned = f"from {best.learned_from} past runs and retries" if best.learned_from else "a guess"
    rest = f", best of {len(ranked)} options" if len(ranked) > 1 else ""
    return Remedy(
        diagnosis=failure.diagnosis,
        step=best.option.step,
        why=f"succeeds with {chance} ({learned}){rest}",
        configuration=best.option.configuration,
        success=best.option.success,
        cost_micro_dollars=best.option.cost_micro_dollars,
        options=shown,
        learned_from=best.learned_from,
    )
