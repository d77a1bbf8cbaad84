"""Forecasts what tasks need and what pools are asked for, as quantiles with their evidence.

`TaskForecaster` and `LearningStore` need numpy only; `DemandChooser` and `learn` bring
scikit-learn. Each is imported when it is first named, so that a plan does not pay for the libraries
of a capacity report.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from forecasting.demand import DemandChooser
    from forecasting.history import read_history
    from forecasting.learning.fitting import learn
    from forecasting.learning.promises import weeks
    from forecasting.learning.store import LearningStore
    from forecasting.pools.forecaster import PoolForecaster
    from forecasting.remedies.chooser import LearnedRemedies
    from forecasting.services import HourlySizer
    from forecasting.tasks import TaskForecaster
    from forecasting.totals import adding_up, with_totals

__all__ = [
    "DemandChooser",
    "HourlySizer",
    "LearnedRemedies",
    "LearningStore",
    "PoolForecaster",
    "TaskForecaster",
    "adding_up",
    "learn",
    "read_history",
    "weeks",
    "with_totals",
]

_HOMES = {
    "DemandChooser": "forecasting.demand",
    "HourlySizer": "forecasting.services",
    "LearnedRemedies": "forecasting.remedies.chooser",
    "LearningStore": "forecasting.learning.store",
    "PoolForecaster": "forecasting.pools.forecaster",
    "TaskForecaster": "forecasting.tasks",
    "adding_up": "forecasting.totals",
    "learn": "forecasting.learning.fitting",
    "read_history": "forecasting.history",
    "weeks": "forecasting.learning.promises",
    "with_totals": "forecasting.totals",
}


def __getattr__(name: str) -> object:
    """Import a public name from its home when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
