"""What the tests of a file of rules are given: signals and alarms of which only a part is said."""

from __future__ import annotations

from collections.abc import Mapping

from alarms.rules.model import LABELS
from engine.model.alarms import Alarm, Severity
from engine.model.signals import Layer, Signal

_SUBJECT = "test:rules"


def signal_of(values: Mapping[str, str | float]) -> Signal:
    """Return a signal of which some fields are given; the others are what changes nothing.

    Raises:
        ValueError: when a field has the wrong type, or names no layer.
    """
    return Signal(
        name=_text(values, "name", "signal"),
        layer=_layer(values),
        subject=_text(values, "subject", _SUBJECT),
        at=_number(values, "at", 0.0),
        value=_number(values, "value", 0.0),
        unit=_text(values, "unit", ""),
        weight=_number(values, "weight", 1.0),
        labels=_labels(values),
    )


def alarm_of(values: Mapping[str, str | float]) -> Alarm:
    """Return an alarm of which some fields are given; a warning unless said otherwise.

    Raises:
        ValueError: when a field has the wrong type, or names no layer or severity.
    """
    signal, subject = _text(values, "signal", "signal"), _text(values, "subject", _SUBJECT)
    severity = _text(values, "severity", Severity.WARNING.value)
    if severity not in set(Severity):
        raise ValueError(f"{severity!r} is no severity; there are {', '.join(Severity)}")
    return Alarm(
        alarm_id="A-test",
        series=f"{subject}|{signal}",
        subject=subject,
        signal=signal,
        layer=_layer(values),
        at=_number(values, "at", 0.0),
        value=_number(values, "value", 0.0),
        unit=_text(values, "unit", ""),
        test=_text(values, "test", "robust z"),
        statistic=_number(values, "statistic", 0.0),
        p_value=_number(values, "p_value", 0.001),
        expected_low=_number(values, "expected_low", 0.0),
        expected_high=_number(values, "expected_high", 0.0),
        severity=Severity(severity),
        labels=_labels(values),
    )


def _layer(values: Mapping[str, str | float]) -> Layer:
    layer = _text(values, "layer", Layer.SERVING.value)
    if layer not in set(Layer):
        raise ValueError(f"{layer!r} is no layer; there are {', '.join(Layer)}")
    return Layer(layer)


def _labels(values: Mapping[str, str | float]) -> dict[str, str]:
    return {label: _text(values, label, "") for label in LABELS if label in values}


def _text(values: Mapping[str, str | float], key: str, otherwise: str) -> str:
    value = values.get(key, otherwise)
    if not isinstance(value, str):
        raise ValueError(f"`{key}` must be a text, found {value!r}")  # noqa: TRY004 - of a file
    return value


def _number(values: Mapping[str, str | float], key: str, otherwise: float) -> float:
    value = values.get(key, otherwise)
    if isinstance(value, str):
        raise ValueError(f"`{key}` must be a number, found {value!r}")  # noqa: TRY004 - of a file
    return value
