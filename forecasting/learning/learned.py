"""Models of one version: trees for quantities of kinds of task, and what they said out of sample.

Trees forecast the logarithm of the ratio of what is measured to the preset, from attributes alone.
For every run that they learned from it is kept what trees said of it that had not seen its task, so
that a back-test with them is as honest as without. Durations of tasks with runs of their own have
models beside these (`timed`), which look at the last runs too.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from engine.model.learning import ModelVersion
from engine.model.profiles import Method, RunRecord
from engine.model.specs import Scalar, TaskKind
from forecasting.learning.features import row
from forecasting.learning.keys import run_key
from forecasting.learning.timed import DurationModel, TimedModel
from forecasting.methods.question import Answer, Question
from forecasting.presets import Quantity
from forecasting.profiles.rowtrees import Nodes, RowTrees


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeModel:
    """Trees for one quantity of one kind of task.

    families: model families with a column of their own. left_out: run to what trees that had not
        seen its task said of it.
    """

    kind: TaskKind
    quantity: str
    families: tuple[str, ...]
    nodes: Nodes
    left_out: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """All models of one version; `durations` are those that look at the last runs."""

    version: ModelVersion
    models: tuple[TreeModel, ...]
    durations: tuple[DurationModel, ...] = ()


@dataclass(frozen=True)
class Oracle:
    """What the models of a version say. Asking takes some ten microseconds."""

    learned: Learned
    _trees: dict[tuple[TaskKind, str], tuple[TreeModel, RowTrees]] = field(
        init=False, repr=False, compare=False
    )
    _timed: dict[TaskKind, TimedModel] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Lay the trees out."""
        trees = {(m.kind, m.quantity): (m, RowTrees(m.nodes)) for m in self.learned.models}
        object.__setattr__(self, "_trees", trees)
        timed = {model.kind: TimedModel(model) for model in self.learned.durations}
        object.__setattr__(self, "_timed", timed)

    @property
    def number(self) -> int:
        """The number of the version."""
        return self.learned.version.number

    def answers(self, asked: Question) -> list[Answer]:
        """Return what the models say of a task; nothing where there are none for it."""
        timed = self._timed.get(asked.past.kind)
        both = [None if timed is None else timed.answer(asked), self._of_trees(asked)]
        return [answer for answer in both if answer is not None]

    def timed(self, kind: TaskKind) -> TimedModel | None:
        """Return the model of durations that looks at the last runs of a kind."""
        return self._timed.get(kind)

    def _of_trees(self, asked: Question) -> Answer | None:
        """Return what the trees say of a task from its attributes; None where there are none."""
        found = self._trees.get((asked.past.kind, asked.quantity.label))
        if found is None:
            return None
        tell = functools.partial(_said, *found)
        left_out = [tell(asked.past.records[place]) for place in asked.tested]
        ratio = _predicted(*found, asked.past.attributes)
        return Answer(Method.TREES, ratio, np.array(left_out, dtype=np.float64))

    def said(self, record: RunRecord, quantity: Quantity) -> float | None:
        """Return the log ratio that is honestly said of a run; None where there is no model."""
        found = self._trees.get((record.kind, quantity.label))
        return None if found is None else _said(*found, record)


def _said(model: TreeModel, trees: RowTrees, record: RunRecord) -> float:
    """Return what trees say that did not see the run."""
    known = model.left_out.get(run_key(record))
    return _predicted(model, trees, record.attributes) if known is None else known


def _predicted(model: TreeModel, trees: RowTrees, attributes: Mapping[str, Scalar]) -> float:
    return trees.predict(row(attributes, model.families))
