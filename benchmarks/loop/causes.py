"""Whether two faults are told apart: retraining for wrong data only, not for a lost cluster.

Twenty seeds vary traffic, its order and noise, the size of windows, which cluster serves, trains
and fails, when, and whether the engine is killed in between. Each is replayed twice over real
records: once a column (cholesterol) arrives in another unit, once a cluster fails. A seed holds
when the first asks for exactly one retraining, with the right remedy, and the second for none
but for a re-plan around the cluster. Below, without a bar, harder faults.
"""

import dataclasses
import statistics
from collections.abc import Callable, Iterator, Mapping

from benchmarks import frame
from simulations import causes
from simulations.causes import Outcome, Scenario
from simulations.records import Records, read_records

SEEDS = 20
QUICK_SEEDS = 4
HARD_SEEDS = 5
REMEDY = {"etl.unit.chol": "mmol/L"}


def run(context: frame.Context) -> Iterator[frame.Figure]:
    """Yields the figures."""
    records = read_records(context.file("training/heart-disease.csv"))
    seeds = range(QUICK_SEEDS if context.quick else SEEDS)
    data = [causes.replay(causes.unit_fault(seed), records) for seed in seeds]
    clusters = [causes.replay(causes.cluster_fault(seed), records) for seed in seeds]
    held = sum(
        is_cured(one, REMEDY) and is_moved(other) for one, other in zip(data, clusters, strict=True)
    )
    yield frame.at_least(
        f"seeds of {len(seeds)} in which both are told apart",
        held,
        len(seeds),
        unit="seeds",
        anchor="retraining on every alarm tells none apart",
    )
    both = [*data, *clusters]
    yield frame.informs(
        "false super-alarms before the fault",
        sum(len(outcome.early) for outcome in both),
        anchor=f"{sum(outcome.scenario.fault_at for outcome in both)} windows without a fault",
    )
    for name, outcomes in (("wrong unit", data), ("lost cluster", clusters)):
        yield from delays(name, outcomes)
    yield frame.informs(
        "super-alarms of the wrong unit that closed by themselves",
        sum(outcome.is_closed for outcome in data),
        unit=f"of {len(data)}",
    )
    if not context.quick:
        yield from harder(records)


def delays(name: str, outcomes: list[Outcome]) -> Iterator[frame.Figure]:
    """Yields how long detection took: the median and the longest."""
    found = [o.delay_windows for o in outcomes if o.delay_windows is not None]
    missed = len(outcomes) - len(found)
    yield frame.informs(
        f"{name}: windows until the super-alarm, median",
        statistics.median(found) if found else float("nan"),
        unit="windows",
        anchor=f"{missed} missed",
    )
    yield frame.informs(
        f"{name}: windows until the super-alarm, longest",
        max(found, default=float("nan")),
        unit="windows",
    )


def is_cured(outcome: Outcome, remedy: Mapping[str, object]) -> bool:
    """Returns whether exactly one retraining was asked for, with the right remedy."""
    return [dict(action.parameters) for action in outcome.retrains] == [remedy]


def is_moved(outcome: Outcome) -> bool:
    """Returns whether only a re-plan around the right cluster was asked for."""
    wanted = f"cluster:{outcome.scenario.cluster}"
    return not outcome.retrains and [a.subject for a in outcome.replans] == [wanted]


def is_left(outcome: Outcome) -> bool:
    """Returns whether something was seen but no retraining asked for."""
    return outcome.delay_windows is not None and not outcome.retrains


def harder(records: Records) -> Iterator[frame.Figure]:
    """Yields faults that the settings were not made for, without a bar."""
    seeds = range(100, 100 + HARD_SEEDS)

    def share(
        scenarios: list[Scenario], name: str, is_right: Callable[[Outcome], bool], why: str
    ) -> frame.Figure:
        outcomes = [causes.replay(scenario, records) for scenario in scenarios]
        right = sum(is_right(outcome) for outcome in outcomes)
        return frame.informs(f"harder: {name}", right, unit=f"of {len(outcomes)}", anchor=why)

    yield share(
        [dataclasses.replace(causes.unit_fault(s), cluster=causes.spare(s)) for s in seeds],
        "wrong unit and a lost cluster at once",
        lambda o: is_cured(o, REMEDY) and len(o.replans) == 1,
        "one retraining and one re-plan",
    )
    yield share(
        [causes.unit_fault(s, "trestbps", 0.133322) for s in seeds],
        "blood pressure in kPa",
        lambda o: [a.parameters.get("etl.unit.trestbps") for a in o.retrains] == ["kPa"],
        "one retraining that reads kPa",
    )
    yield share(
        [causes.unit_fault(s, "thalach", 1 / 18.016) for s in seeds],
        "heart rate by the factor of glucose (no unit of it)",
        is_left,
        "no retraining on data nobody understands",
    )
    yield share(
        [causes.unit_fault(s, "trestbps", 10.0) for s in seeds],
        "blood pressure times ten",
        lambda o: [a.parameters.get("etl.factor.trestbps") for a in o.retrains] == [0.1],
        "one retraining with the factor 0.1",
    )
    yield share(
        [causes.unit_fault(s, "oldpeak", 0.1) for s in seeds],
        "ST depression divided by ten (shift under one deviation)",
        lambda o: [a.parameters.get("etl.factor.oldpeak") for a in o.retrains] == [10.0],
        "one retraining with the factor 10",
    )
    yield share(
        [dataclasses.replace(causes.varied(s), lost=("thalach",)) for s in seeds],
        "a column no longer arrives",
        is_left,
        "an alarm, no retraining",
    )
    yield share(
        [dataclasses.replace(causes.varied(s), load=3.0) for s in seeds],
        "three times the traffic",
        is_left,
        "an alarm, no retraining",
    )
    yield share(
        [causes.varied(s) for s in seeds],
        "no fault at all",
        lambda o: not o.groups and not o.retrains and not o.replans,
        "no super-alarm",
    )
