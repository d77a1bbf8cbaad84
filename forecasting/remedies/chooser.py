"""Whether another attempt is worth it, and which: the port `RemedyChooser`, learned.

A success is worth so many times what the planned attempt costs. An option's value is its chance
times that worth less what it is expected to cost; the best one is taken where its value is above
nothing. So a retry with little chance is not made, and of two with equal chance the cheaper one is.
"""

from __future__ import annotations

from engine.model.failures import Failure
from engine.model.remedies import Configuration, Remedy, RemedyStep
from forecasting.presets import size_of
from forecasting.remedies.memory import Needs
from forecasting.remedies.options import Weighed, share_hours, weighed

_WORTH = 8.0
"""What a success is worth, in costs of the planned attempt."""
_LEAST_SUCCESS = 0.1
"""Below it no retry is made, however cheap."""
_SHOWN = 4
_TASKS_KNOWN = 500


class LearnedRemedies:
    """Chooses by what past retries came to and past runs needed.

    What it remembers of a task's runs spares time only: the same failure gives the same remedy.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], tuple[list[tuple[float, float]], Needs]] = {}

    def choose(self, failure: Failure) -> Remedy:
        """Return the remedy, with the options that were weighed, the chosen one first."""
        place = failure.places[0]
        planned = share_hours(failure, place, Configuration())
        if any(each.price_micro_dollars_per_hour > 0 for each in failure.places):
            planned *= place.price_micro_dollars_per_hour
        options = weighed(failure, self._needs(failure))
        if not options:
            return Remedy(
                diagnosis=failure.diagnosis,
                step=RemedyStep.NONE,
                why="nothing can be changed: no machine beside it has more",
            )
        # A run that turns out larger than planned is worth what it turns out to cost.
        largest = max(planned, min(one.weight for one in options) / 2.0)
        ranked = sorted(options, key=lambda one: _value(one, largest), reverse=True)
        return _remedy(failure, ranked, largest)

    def _needs(self, failure: Failure) -> Needs:
        """Return what past runs of a task needed; runs that are new since last time are added."""
        key = (failure.pipeline, failure.task.name)
        runs = [run for run in failure.runs if run.succeeded]
        seen, needs = self._known.get(key, ([], Needs()))
        if seen != [(run.ended_at, run.memory_gib_peak) for run in runs[: len(seen)]]:
            seen, needs = [], Needs()
        for run in runs[len(seen) :]:
            needs.update(size_of(run.attributes).gib, run.memory_gib_peak)
            seen.append((run.ended_at, run.memory_gib_peak))
        if len(self._known) >= _TASKS_KNOWN:
            self._known.clear()
        self._known[key] = (seen, needs)
        return needs


def _value(one: Weighed, planned: float) -> float:
    return one.eventual * _WORTH * planned - one.weight


def _remedy(failure: Failure, ranked: list[Weighed], planned: float) -> Remedy:
    best = ranked[0]
    chance = f"{100 * best.option.success:.0f} %"
    shown = tuple(one.option for one in ranked[:_SHOWN])
    if best.eventual < _LEAST_SUCCESS or _value(best, planned) <= 0:
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
