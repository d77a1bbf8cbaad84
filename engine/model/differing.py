"""In which parameters two specifications of a pipeline differ. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from engine.model.specs import PipelineSpec, Scalar

WAS, NOW = "was:", "now:"
"""Labels of an event begin so, with `TASK.NAME` behind, and hold the value as JSON."""
_TOLD_MOST = 3
_LABELLED_MOST = 20


@dataclass(frozen=True, slots=True)
class Difference:
    """One parameter, `TASK.NAME`, with its value before and now; None where it is not set."""

    name: str
    was: Scalar | None
    now: Scalar | None

    def __str__(self) -> str:
        """Return it in words."""
        was, now = ("not set" if each is None else str(each) for each in (self.was, self.now))
        return f"{self.name} {was} → {now}"


def differences(
    before: Mapping[str, Scalar], after: Mapping[str, Scalar]
) -> tuple[Difference, ...]:
    """Return the parameters that differ, by name."""
    names = sorted({*before, *after})
    pairs = (Difference(name, before.get(name), after.get(name)) for name in names)
    return tuple(each for each in pairs if each.was != each.now)


def parameters(
    spec: PipelineSpec, overrides: Mapping[str, Scalar] | None = None
) -> dict[str, Scalar]:
    """Return every parameter of a pipeline as `TASK.NAME`, with those of a run over them."""
    own = {
        f"{task.name}.{name}": value
        for task in spec.tasks
        for name, value in task.parameters.items()
    }
    return {**own, **(overrides or {})}


def words(found: tuple[Difference, ...]) -> str:
    """Return differences for people: the first few, and how many more."""
    told = ", ".join(str(each) for each in found[:_TOLD_MOST])
    more = len(found) - _TOLD_MOST
    return f"{told} and {more} more" if more > 0 else told


def labels(found: tuple[Difference, ...]) -> dict[str, str]:
    """Return differences as labels of an event; what is not set has none."""
    made: dict[str, str] = {}
    for each in found[:_LABELLED_MOST]:
        if each.was is not None:
            made[WAS + each.name] = json.dumps(each.was)
        if each.now is not None:
            made[NOW + each.name] = json.dumps(each.now)
    return made


def read(marked: Mapping[str, str]) -> tuple[Difference, ...]:
    """Return the differences that labels of an event tell."""
    names = sorted({key.partition(":")[2] for key in marked if key.startswith((WAS, NOW))})
    return tuple(
        Difference(name, _value(marked, WAS + name), _value(marked, NOW + name)) for name in names
    )


def _value(marked: Mapping[str, str], key: str) -> Scalar | None:
    value: Scalar | None = json.loads(marked[key]) if key in marked else None
    return value
