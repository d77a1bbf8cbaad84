"""Skops, which keeps trained models without pickle; the one place that loads it.

Skops trusts every estimator that scikit-learn has, by name; to find the names it imports all of
scikit-learn's modules, and with them torch where that is installed. That is two seconds of
processor time, 500 MiB with torch, in every task that trains a decision tree. Whoever reads a model
here decides by itself which types are trusted, those of scikit-learn among them, so skops is told
of no estimators: it names those of a file like any other type.
"""

from __future__ import annotations

import importlib
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any


@contextmanager
def _without_estimators() -> Generator[None]:
    """Let scikit-learn have no estimators for a while, for those who ask for all of them."""
    utilities: Any = importlib.import_module("sklearn.utils")
    found = utilities.all_estimators
    utilities.all_estimators = list
    try:
        yield
    finally:
        utilities.all_estimators = found


with _without_estimators():
    skops_io: Any = importlib.import_module("skops.io")
