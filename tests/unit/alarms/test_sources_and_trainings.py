"""Columns, ages, conditions of machines and curves of trainings: each alarm with its cause."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pytest

from alarms import HypothesisTree
from alarms.detection.detector import StatisticalDetector
from alarms.detection.schemas import changes
from engine.model.alarms import Alarm, Cause, CauseKind, Severity
from engine.model.checks import Check, CheckKind
from engine.model.signals import Layer, Signal
from engine.testing.watch_suites import group

DAY = 86_400.0
COLUMNS = {"age": "number", "chol": "number", "site": "text"}


def made(
    name: str,
    series: Iterable[float],
    layer: Layer,
    subject: str,
    *,
    every: float = 60.0,
    labels: Mapping[str, str] | None = None,
) -> list[Signal]:
    known = labels or {}
    return [
        Signal(
            name=name,
            layer=layer,
            subject=subject,
            at=number * every,
            value=float(value),
            labels={"pipeline": "heart", "cluster": "c", **known},
        )
        for number, value in enumerate(series)
    ]


def delivered(*schemas: Mapping[str, str]) -> list[Signal]:
    """Return what etl runs tell, one a day."""
    return [
        dataclasses.replace(
            made("columns", [len(schema)], Layer.ETL, "task:heart/etl")[0],
            at=number * DAY,
            labels={
                "pipeline": "heart",
                "schema": "\n".join(f"{name}:{kind}" for name, kind in schema.items()),
            },
        )
        for number, schema in enumerate(schemas)
    ]


def observed(signals: Sequence[Signal]) -> list[Alarm]:
    return list(StatisticalDetector().observe(signals))


def first_cause(alarms: Sequence[Alarm], signals: Sequence[Signal]) -> Cause:
    found = dataclasses.replace(group(*alarms), pipelines=("heart",))
    return HypothesisTree().causes(found, signals, ())[0]


# ------------------------------------------------------------------ columns


def test_a_column_that_is_gone_alarms_and_is_named() -> None:
    less = {name: kind for name, kind in COLUMNS.items() if name != "chol"}
    signals = delivered(COLUMNS, COLUMNS, less)
    (alarm,) = observed(signals)
    assert (alarm.test, alarm.value, alarm.expected_low, alarm.p_value) == ("schema", 2, 3, 0.0)
    assert alarm.message == "the columns of task:heart/etl changed: column chol is gone"
    assert "schema" not in alarm.labels
    cause = first_cause([alarm], signals)
    assert (cause.kind, cause.subject) == (CauseKind.DATA, "task:heart/etl")
    assert cause.title == "the source of heart changed its columns: column chol is gone"
    assert cause.belief > 0.9
    assert cause.check == Check(kind=CheckKind.SCHEMA, subject="task:heart/etl", since=alarm.at)


def test_the_same_columns_in_another_order_are_no_change() -> None:
    turned = dict(reversed(COLUMNS.items()))
    assert observed(delivered(COLUMNS, turned, COLUMNS)) == []


def test_a_rename_and_another_type_are_told_together() -> None:
    other = {"age": "text", "cholesterol": "number", "site": "text"}
    assert changes(COLUMNS, other) == [
        "column chol is gone",
        "column cholesterol is new",
        "column age holds text, was number",
    ]


def test_a_column_without_values_has_no_type_until_it_has_some() -> None:
    empty = {**COLUMNS, "chol": "empty"}
    assert observed(delivered(COLUMNS, empty, COLUMNS)) == []
    text = {**COLUMNS, "chol": "text"}
    (alarm,) = observed(delivered(empty, COLUMNS, text))
    assert "column chol holds text, was number" in alarm.message


def test_columns_that_stay_are_the_norm() -> None:
    more = {**COLUMNS, "bmi": "number"}
    detector = StatisticalDetector()
    alarms = detector.observe(delivered(COLUMNS, more, more, more, more, more, more))
    assert {alarm.value for alarm in alarms} == {4.0}
    assert len(alarms) <= 3
    assert detector.observe(delivered(*[more] * 12)[8:]) == []


def test_of_many_changes_the_first_are_named() -> None:
    wide = {f"c{number:03}": "number" for number in range(300)}
    (alarm,) = observed(delivered(wide, COLUMNS))
    assert alarm.message.endswith("column c004 is gone; and 298 more")


def test_columns_that_nobody_names_say_nothing() -> None:
    assert observed(made("columns", [3, 4], Layer.ETL, "task:heart/etl")) == []


# --------------------------------------------------------------------- ages


def teeth(heights: Iterable[int]) -> list[float]:
    return [float(hour) * 3_600 for height in heights for hour in range(height)]


def test_an_output_that_nobody_renews_alarms_long_before_two_periods_are_over() -> None:
    signals = made(
        "output_age_seconds",
        teeth([*[24] * 14, 60]),
        Layer.ETL,
        "pipeline:heart",
        every=3_600.0,
    )
    (alarm, *_) = observed(signals)
    assert 23 * 3_600 * 1.5 < alarm.value < 23 * 3_600 * 2
    assert first_cause([alarm], signals).title == "the source of heart is late"


def test_outputs_that_come_now_and_then_are_normal() -> None:
    heights = np.random.default_rng(1).integers(2, 40, 60)
    signals = made("output_age_seconds", teeth(heights), Layer.ETL, "pipeline:heart", every=3_600.0)
    assert observed(signals) == []


def test_a_pace_that_became_slower_is_the_norm_after_a_while() -> None:
    heights = [*[10] * 14, *[60] * 30]
    signals = made("output_age_seconds", teeth(heights), Layer.ETL, "pipeline:heart", every=3_600.0)
    alarms = observed(signals)
    assert alarms
    assert max(alarm.at for alarm in alarms) < 0.6 * signals[-1].at


def test_a_source_that_nobody_refreshed_alarms_at_the_next_run() -> None:
    ages = [*np.random.default_rng(2).uniform(3_000, 5_000, 30), 90_000.0]
    signals = made("source_age_seconds", ages, Layer.ETL, "task:heart/etl", every=DAY)
    (alarm,) = observed(signals)
    assert (alarm.value, alarm.test) == (90_000.0, "robust z")
    assert first_cause([alarm], signals).kind is CauseKind.DATA


def test_a_file_that_never_changes_is_no_fault() -> None:
    ages = [number * DAY for number in range(200)]
    assert observed(made("source_age_seconds", ages, Layer.ETL, "task:h/etl", every=DAY)) == []


# ----------------------------------------------------------------- machines


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("node_disk_pressure", "node east/n-7 runs out of disk"),
        ("node_not_ready", "node east/n-7 is not ready"),
    ],
)
def test_a_node_in_trouble_is_the_cause(name: str, title: str) -> None:
    labels = {"node": "n-7", "cluster": "east", "reason": "KubeletHasDiskPressure"}
    signals = made(name, [0, 1], Layer.MACHINE, "node:east/n-7", labels=labels)
    (alarm,) = observed(signals)
    assert (alarm.test, alarm.severity) == ("declared state", Severity.WARNING)
    cause = first_cause([alarm], signals)
    assert (cause.kind, cause.subject, cause.title) == (
        CauseKind.INFRASTRUCTURE,
        "node:east/n-7",
        title,
    )
    assert "KubeletHasDiskPressure" in cause.evidence_for[0]
    assert cause.settle == "`kubectl describe node n-7`: conditions and events"


def test_a_node_that_is_well_again_says_so() -> None:
    signals = made("node_memory_pressure", [1, 0], Layer.MACHINE, "machine:here")
    (alarm,) = observed(signals)
    cause = first_cause([alarm], signals)
    assert cause.evidence_against == ("here is well again",)
    assert cause.settle == "`df -h` and `free -h` on here"


@pytest.mark.parametrize("seed", range(3))
def test_the_noise_of_a_busy_machine_opens_no_super_alarm(seed: int) -> None:
    """Rates that stand still for minutes and then jump by powers of ten, as builds make them."""
    random = np.random.default_rng(seed)
    busy = np.repeat(random.random(300) < 0.1, 10)
    signals = []
    for name in ("disk_written_mib_per_second", "network_received_mbps", "samples_per_second"):
        rates = np.where(busy, random.lognormal(4, 1.5, 3_000), random.lognormal(-3, 1.5, 3_000))
        layer = Layer.TRAINING if name.startswith("samples") else Layer.MACHINE
        signals += made(name, rates, layer, "machine:here", every=5.0)
    alarms = observed(sorted(signals, key=lambda signal: signal.at))
    assert {alarm.severity for alarm in alarms} <= {Severity.INFO}


# ---------------------------------------------------------------- trainings


def curve(run: str, start: float, values: Sequence[float]) -> list[Signal]:
    found = made("gradient_norm", values, Layer.TRAINING, "model:heart/train", labels={"run": run})
    return [dataclasses.replace(signal, at=signal.at + start) for signal in found]


def falling(seed: int, steps: int) -> list[float]:
    noise = np.random.default_rng(seed).lognormal(0, 0.3, steps)
    return [float(each) for each in noise * (0.2 + 5 * np.exp(-np.arange(steps) / 40))]


@pytest.mark.parametrize("seed", range(4))
def test_gradients_of_trainings_that_learn_are_normal(seed: int) -> None:
    signals = [*curve("r-1", 0.0, falling(seed, 400)), *curve("r-2", 1e6, falling(seed + 9, 400))]
    assert observed(signals) == []


def test_a_gradient_that_explodes_alarms_with_its_cause() -> None:
    grows = [0.3 * 2.0**step for step in range(12)]
    signals = curve("r-1", 0.0, [*falling(1, 100), *grows])
    (alarm, *_) = observed(signals)
    assert alarm.signal == "gradient_norm"
    assert alarm.value > alarm.expected_high
    cause = first_cause([alarm], signals)
    assert (cause.kind, cause.subject) == (CauseKind.CONFIGURATION, "model:heart/train")
    assert cause.title == "the training of heart/train takes too large steps"


def test_a_gradient_that_grows_slowly_alarms_as_well() -> None:
    noise = np.random.default_rng(3).lognormal(0, 0.3, 60)
    grows = [float(0.3 * 1.15**step * each) for step, each in enumerate(noise)]
    (alarm, *_) = observed(curve("r-1", 0.0, [*falling(1, 100), *grows]))
    assert alarm.value < 0.3 * 1.15**50


def test_one_spike_of_a_gradient_is_common() -> None:
    steps = falling(5, 200)
    assert observed(curve("r-1", 0.0, [*steps[:150], 80.0, *steps[150:]])) == []


def test_a_loss_below_nought_is_a_loss() -> None:
    noise = np.random.default_rng(4).normal(0, 0.1, 120)
    values = [float(each) for each in noise - 3 + 2 * np.exp(-np.arange(120) / 20)]
    signals = made("training_loss", values, Layer.TRAINING, "model:heart/train")
    assert observed(signals) == []
    rises = [float(2.0**step) for step in range(8)]
    later = made("training_loss", [*values, *rises], Layer.TRAINING, "model:heart/train")
    assert observed(later)


def test_a_training_whose_data_moved_is_no_fault_of_its_configuration() -> None:
    less = {name: kind for name, kind in COLUMNS.items() if name != "chol"}
    signals = [
        *delivered(COLUMNS, less),
        dataclasses.replace(
            made("diverged", [1], Layer.TRAINING, "model:heart/train")[0], at=DAY + 60
        ),
    ]
    alarms = observed(signals)
    assert {alarm.signal for alarm in alarms} == {"columns", "diverged"}
    assert first_cause(alarms, signals).kind is CauseKind.DATA
