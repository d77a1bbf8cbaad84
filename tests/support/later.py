"""Modules that take seconds to import, such as those that need torch."""

from __future__ import annotations

import importlib


class Later:
    """A module that is imported when something of it is first used.

    Every process that runs tests collects all of them, and few run those of such a module.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> object:
        # What collecting asks of everything that stands in a test file.
        if name.startswith(("__", "_mock", "_pytest", "pytest")):
            raise AttributeError(name)
        found: object = getattr(importlib.import_module(self._name), name)
        return found
