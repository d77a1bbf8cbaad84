"""What is outside what is normal is found, once, and ordinary noise is not."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable

import numpy as np
import pytest

from alarms.detection import significance
from alarms.detection.detector import StatisticalDetector
from alarms.detection.memory import Sample, Seasons
from alarms.detection.settings import DetectionSettings, Worse
from engine.model.alarms import Alarm, Severity
from engine.model.signals import Layer, Shape, Signal

SEEDS = range(3)


def values(
    name: str, series: Iterable[float], *, shape: Shape = Shape.GAUGE, weight: float = 1.0
) -> list[Signal]:
    return [
        Signal(
            name=name,
            layer=Layer.SERVING,
            subject="model:heart",
            at=float(at),
            value=float(value),
            shape=shape,
            weight=weight,
            labels={"pipeline": "heart"},
        )
        for at, value in enumerate(series)
    ]


def feature(name: str, at: float, value: float, rows: float = 20.0) -> Signal:
    return Signal(
        name=name,
        layer=Layer.SERVING,
        subject="feature:heart/chol",
        at=at,
        value=value,
        weight=rows,
        labels={"pipeline": "heart", "feature": "chol"},
    )


def references(mad: float = 47.0, sd: float = 52.0) -> list[Signal]:
    known = {"median": 240.0, "mad": mad, "mean": 246.0, "sd": sd}
    return [feature(f"reference_{name}", -1.0, value, 180.0) for name, value in known.items()]


def observed(signals: Iterable[Signal], **settings: float) -> list[Alarm]:
    detector = StatisticalDetector(dataclasses.replace(DetectionSettings(), **settings))
    return list(detector.observe(list(signals)))


@pytest.mark.parametrize("seed", SEEDS)
def test_noise_of_a_gauge_is_normal(seed: int) -> None:
    noise = np.random.default_rng(seed).lognormal(1.0, 0.5, 2_000)
    assert observed(values("latency_ms_p99", noise)) == []


def test_a_gauge_alarms_when_it_stays_outside() -> None:
    noise = np.random.default_rng(1).normal(10, 1, 100)
    (alarm, *_) = observed(values("latency_ms_p99", [*noise, 90, 91, 92]))
    assert alarm.at == 101
    assert alarm.value > alarm.expected_high
    assert alarm.p_value < 1e-4


def test_one_outlier_of_a_gauge_is_no_alarm() -> None:
    assert observed(values("latency_ms_p99", [*[10.0, 11.0] * 50, 90, 10, 11])) == []


def test_the_good_side_is_no_alarm() -> None:
    assert observed(values("latency_ms_p99", [*[100.0, 110.0] * 50, *[1.0] * 5])) == []


@pytest.mark.parametrize("seed", SEEDS)
def test_noise_of_a_count_is_normal(seed: int) -> None:
    noise = np.random.default_rng(seed).poisson(20, 2_000)
    assert observed(values("requests", noise, shape=Shape.COUNT)) == []


def test_counts_that_scatter_more_than_poisson_are_normal() -> None:
    noise = np.random.default_rng(1).negative_binomial(4, 0.1, 1_000)
    assert observed(values("requests", noise, shape=Shape.COUNT)) == []


@pytest.mark.parametrize("jump", [0, 80])
def test_a_jump_of_a_count_alarms(jump: int) -> None:
    noise = np.random.default_rng(1).poisson(20, 60)
    (alarm,) = observed(values("requests", [*noise, jump], shape=Shape.COUNT))
    assert alarm.test == "Poisson, exact"


def test_rows_of_a_run_are_tested_against_one_earlier_run() -> None:
    assert observed(values("rows", [303, 310], shape=Shape.COUNT)) == []
    assert len(observed(values("rows", [303, 120], shape=Shape.COUNT))) == 1


@pytest.mark.parametrize("seed", SEEDS)
def test_noise_of_a_share_is_normal(seed: int) -> None:
    noise = np.random.default_rng(seed).binomial(12, 0.85, 2_000) / 12
    assert observed(values("quality", noise, shape=Shape.SHARE, weight=12)) == []


def test_small_windows_of_a_share_add_up() -> None:
    random = np.random.default_rng(1)
    shares = [*random.binomial(4, 0.9, 60) / 4, *random.binomial(4, 0.3, 10) / 4]
    (alarm, *_) = observed(values("quality", shares, shape=Shape.SHARE, weight=4))
    assert alarm.severity is Severity.CRITICAL
    assert alarm.at > 60


def test_a_share_without_trials_says_nothing() -> None:
    assert observed(values("quality", [0.0] * 50, shape=Shape.SHARE, weight=0)) == []


def test_large_windows_of_a_share_are_tested_as_normal() -> None:
    shares = [*[0.01, 0.011] * 15, 0.2]
    (alarm,) = observed(values("errors_share", shares, shape=Shape.SHARE, weight=5_000))
    assert alarm.test == "two shares, normal"


def test_a_level_that_stays_becomes_the_norm() -> None:
    detector = StatisticalDetector(DetectionSettings(adopt_values=30))
    detector.observe(values("latency_ms_p99", [*[10.0, 11.0] * 30, *[90.0, 91.0] * 60]))
    assert detector.abnormal() == {}


def test_a_share_that_stays_becomes_the_norm() -> None:
    detector = StatisticalDetector(DetectionSettings(adopt_values=20))
    shares = values("quality", [*[0.9] * 40, *[0.5] * 80], shape=Shape.SHARE, weight=50)
    detector.observe(shares)
    assert detector.abnormal() == {}


@pytest.mark.parametrize("rows", [3, 8, 20])
def test_resampled_windows_of_a_feature_are_normal(rows: int) -> None:
    random = np.random.default_rng(rows)
    chol = np.where(random.random(400) < 0.01, 560.0, random.normal(243, 50, 400))
    drawn = [random.choice(chol, rows) for _ in range(500)]
    means = [feature("feature_mean", at, window.mean(), rows) for at, window in enumerate(drawn)]
    assert observed([*references(), *means]) == []


def test_another_unit_alarms() -> None:
    windows = [feature("feature_median", at, 240.0 if at < 20 else 6.2) for at in range(25)]
    (alarm, *_) = observed([*references(), *windows])
    assert alarm.at == 20
    assert alarm.value == 6.2


def test_a_significant_but_small_shift_is_no_alarm() -> None:
    windows = [feature("feature_mean", at, 256.0, 10_000) for at in range(20)]
    assert observed([*references(), *windows]) == []


def test_a_feature_without_spread_by_its_median_is_tested_by_its_mean_only() -> None:
    windows = [feature("feature_median", at, at % 2) for at in range(60)]
    assert observed([*references(mad=0.0), *windows]) == []


def test_a_feature_without_a_reference_is_tested_against_itself() -> None:
    windows = [feature("feature_mean", at, 240.0 + at % 3) for at in range(40)]
    shifted = [feature("feature_mean", 40.0 + at, 6.2) for at in range(3)]
    (alarm, *_) = observed([*windows, *shifted])
    assert alarm.test == "robust z"


def test_windows_that_scatter_widen_the_band() -> None:
    drift = np.sin(np.arange(200) / 10) * 0.7
    windows = [feature("feature_mean", at, 246 + 52 * d, 60) for at, d in enumerate(drift)]
    assert len(observed([*references(), *windows])) < 10


def test_an_empty_window_says_nothing() -> None:
    assert observed([*references(), feature("feature_mean", 1.0, 6.2, 0)]) == []


def test_silence_of_a_heartbeat_is_an_alarm() -> None:
    others = [dataclasses.replace(s, subject="model:x") for s in values("requests", [20] * 60)]
    mine = values("requests", [20] * 40)
    (alarm,) = observed(sorted([*mine, *others], key=lambda signal: signal.at))
    assert (alarm.test, alarm.subject) == ("silence", "model:heart")
    assert "silent" in alarm.message


def test_a_pause_of_everything_is_no_silence() -> None:
    early = values("requests", [20] * 40)
    late = [dataclasses.replace(signal, at=signal.at + 5_000) for signal in early]
    assert observed([*early, *late]) == []


def test_a_heartbeat_that_is_back_is_no_longer_abnormal() -> None:
    detector = StatisticalDetector()
    others = [dataclasses.replace(s, subject="model:x") for s in values("requests", [20] * 90)]
    mine = [s for s in values("requests", [20] * 90) if not 40 < s.at < 60]
    both = sorted([*mine, *others], key=lambda signal: signal.at)
    detector.observe([signal for signal in both if signal.at < 55])
    assert list(detector.abnormal()) == ["model:heart|requests"]
    detector.observe([signal for signal in both if signal.at >= 55])
    assert detector.abnormal() == {}


def test_a_column_that_stops_to_arrive_is_an_alarm() -> None:
    age = [
        dataclasses.replace(feature("feature_mean", at, 50.0), subject="feature:heart/age")
        for at in range(60)
    ]
    chol = [feature("feature_mean", at + 0.1, 246.0) for at in range(40)]
    (alarm,) = observed(sorted([*age, *chol], key=lambda signal: signal.at))
    assert (alarm.test, alarm.subject) == ("silence", "feature:heart/chol")


def test_a_server_that_stops_is_not_a_column_that_stops() -> None:
    windows = [
        dataclasses.replace(feature("feature_mean", at, 5.0), subject=f"feature:heart/{name}")
        for at in (*range(40), *range(60, 80))
        for name in "abc"
    ]
    assert observed(windows) == []


def test_a_killed_task_is_an_alarm_that_passes() -> None:
    detector = StatisticalDetector()
    (alarm,) = detector.observe(values("exit_killed", [1.0], shape=Shape.COUNT))
    assert alarm.test == "declared state"
    assert detector.abnormal()
    detector.observe(values("requests", [20] * 400))
    assert detector.abnormal() == {}


def test_context_is_info() -> None:
    signal = Signal(name="gpu_used", layer=Layer.MACHINE, subject="cluster:c", at=1.0, value=1.0)
    assert DetectionSettings().meaning(signal).severity is Severity.INFO


NOISE = [10.0, 11.0] * 50


def test_one_trouble_is_one_alarm_unless_it_grows() -> None:
    steady = observed(values("latency_ms_p99", [*NOISE, *[90.0] * 100]), refractory_seconds=30.0)
    growing = observed(values("latency_ms_p99", [*NOISE, *[90.0 * 1.5**n for n in range(10)]]))
    assert len(steady) == 1
    assert len(growing) > 3


def test_a_trouble_that_comes_back_after_a_while_is_another_alarm() -> None:
    twice = [*NOISE, *[90.0] * 5, *[10.0, 11.0] * 50, *[90.0] * 5]
    assert len(observed(values("latency_ms_p99", twice), refractory_seconds=30.0)) == 2
    assert len(observed(values("latency_ms_p99", twice), refractory_seconds=3_000.0)) == 1


def test_a_cluster_that_stays_down_is_one_alarm_and_one_that_is_lost_again_another() -> None:
    down = values("reachable", [*[1.0] * 20, *[0.0] * 200])
    again = values("reachable", [*[1.0] * 20, *[0.0] * 200, *[1.0] * 20, *[0.0] * 200])
    assert len(observed(down, refractory_seconds=5.0)) == 1
    assert len(observed(again, refractory_seconds=5.0)) == 2


def test_silence_after_a_high_value_is_told_although_the_high_value_was() -> None:
    high = values("requests", [*[20, 21] * 50, *[90] * 5], shape=Shape.COUNT)
    others = values("latency_ms_p99", [10.0, 11.0] * 75)
    found = observed(sorted([*high, *others], key=lambda signal: signal.at))
    assert [alarm.test for alarm in found][-1] == "silence"


@pytest.mark.parametrize("name", ["processes", "cpu_cores_used", "memory_gib_used"])
def test_the_first_process_of_a_cluster_is_no_alarm(name: str) -> None:
    assert observed(values(name, [*[0.0] * 40, *[2.0] * 40, *[0.0] * 40, *[2.0] * 9])) == []
    assert observed(values(name, [*[2.0, 2.1] * 40, *[40.0] * 9])) != []


def test_a_fault_at_an_hour_with_few_values_is_seen() -> None:
    # Two days of a value every ten minutes: an hour of the day has twelve values, which wander.
    random = np.random.default_rng(3)
    wander = [0.0]
    for _ in range(288):
        wander.append(0.8 * wander[-1] + 0.06 * random.normal())
    usual = [100.0 * math.exp(each) for each in wander]
    signals = [
        dataclasses.replace(signal, at=600.0 * signal.at)
        for signal in values("latency_ms_p99", [*usual, *[300.0] * 4])
    ]
    found = observed(signals, level=3e-6)
    assert found
    assert found[0].at == signals[len(usual) + 1].at
    assert found[0].expected_high < 300.0


def test_a_band_of_logarithms_that_reaches_past_all_numbers_is_cut() -> None:
    sample = Sample(12)
    for value in [1.0, 1.0, 1.0, 1.0, 1.1, 1.1, 1.2, 2.0, 9.0, 40.0, 90.0, 1e4]:
        sample.add(value)
    finding = significance.gauge(1e5, sample, level=1e-9, effect=0.5, following=0.9)
    assert math.isfinite(finding.high)


def test_what_is_not_tested_never_alarms() -> None:
    assert observed(values("loss", [*[0.5, 0.6] * 50, 900.0, 900.0])) == []


def test_the_same_hour_of_earlier_days_is_the_reference() -> None:
    # Ten times the load at one hour of each day: normal then, and only then.
    day = [100.0 if hour == 9 else 10.0 for hour in range(24) for _ in range(10)]
    noise = np.random.default_rng(1).normal(1, 0.02, 240 * 6)
    series = np.array(day * 6) * noise
    settings = DetectionSettings(season_seconds=240.0, level=1e-3)
    detector = StatisticalDetector(settings)
    alarms = detector.observe(values("latency_ms_p99", series))
    assert [alarm for alarm in alarms if alarm.at > 3 * 240] == []


def test_a_sample_forgets_the_oldest() -> None:
    sample = Sample(3)
    for value in (5.0, 1.0, 2.0, 3.0):
        sample.add(value)
    assert sample.values == [1.0, 2.0, 3.0]
    assert (sample.median(), sample.total, len(sample)) == (2.0, 6.0, 3)


def test_a_running_season_is_not_its_own_reference() -> None:
    settings = DetectionSettings(season_seconds=24.0, values_least=2)
    seasons = Seasons(settings)
    for at in range(5):
        seasons.add(float(at) / 10, 1.0)
    assert seasons.reference(0.6) is seasons.recent


def test_a_faster_clock_has_shorter_days() -> None:
    assert DetectionSettings().scaled(60.0).season_seconds == 1_440.0


@pytest.mark.parametrize(
    ("statistic", "worse", "outside"),
    [(9.0, Worse.HIGHER, True), (-9.0, Worse.HIGHER, False), (-9.0, Worse.LOWER, True)],
)
def test_outside_has_a_side(statistic: float, worse: Worse, outside: bool) -> None:
    finding = significance.Finding(
        test="t", value=5.0, statistic=statistic, p_value=0.0, usual=0.0, low=-1.0, high=1.0
    )
    assert finding.is_outside(0.01, worse) is outside


def test_two_equal_rates_are_no_surprise() -> None:
    assert significance.rate_p_value(20, 20, 0.5) > 0.9
    assert significance.rate_p_value(0, 0, 0.5) == 1.0


def test_messages_say_value_and_band() -> None:
    (alarm,) = observed(values("requests", [*[20.0, 21.0] * 20, 90], shape=Shape.COUNT))
    assert alarm.message.startswith("requests of model:heart is 90; normal is")


def test_the_band_of_a_series_that_stood_still_is_what_it_was() -> None:
    (alarm,) = observed(values("gpu_gib_used", [*[0.0] * 40, 0.1, 0.1]))
    assert (alarm.expected_low, alarm.expected_high) == (0.0, 0.0)
    assert " normal is 0 (robust z: +9.8e+07," in alarm.message


@pytest.mark.parametrize(
    ("shape", "value"), [(Shape.SHARE, 95.0), (Shape.COUNT, 1e19), (Shape.GAUGE, 1e200)]
)
def test_a_series_that_nobody_can_compute_with_stops_no_other(
    caplog: pytest.LogCaptureFixture, shape: Shape, value: float
) -> None:
    odd = values("accuracy", [value] * 80, shape=shape, weight=100.0)
    good = values("latency_ms_p99", [*[20.0, 21.0] * 38, *[90.0] * 4])
    alarms = observed(signal for pair in zip(odd, good, strict=True) for signal in pair)
    assert {alarm.signal for alarm in alarms} == {"latency_ms_p99"}
    assert caplog.text.count("model:heart|accuracy is not tested") == 1
