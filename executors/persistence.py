"""Skops, which keeps trained models without pickle; the one place that loads it.

Skops names every type that scikit-learn has, for which it imports all of scikit-learn's modules.
One of them imports torch where it is installed: 500 MiB and seconds of every task that trains a
decision tree, and a profile that no other machine confirms. So nothing is found under that name
while skops loads; what the process itself imported before stays.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any

_HEAVY = frozenset({"cupy", "dask", "pytest", "torch"})
"""Array libraries that scikit-learn can compute with, and what its own tests run in: none of which
Berth's models need."""


class _Absent(importlib.abc.MetaPathFinder):
    """Finds nothing under the heavy names, and says so before anyone else looks."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Refuse a heavy library; let others look for anything else.

        Raises:
            ModuleNotFoundError: for a heavy library.
        """
        del path, target
        if fullname in _HEAVY:
            raise ModuleNotFoundError(f"{fullname} is not loaded with skops", name=fullname)
        return None


@contextmanager
def _without_heavy() -> Generator[None]:
    """Let heavy libraries be absent for a while."""
    absent = _Absent()
    sys.meta_path.insert(0, absent)
    try:
        yield
    finally:
        sys.meta_path.remove(absent)


with _without_heavy():
    skops_io: Any = importlib.import_module("skops.io")
