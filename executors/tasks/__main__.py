"""Runs one built-in task in the environment that an executor prepared.

Each kind imports its own module, found by name, so that a task starts with no more than it needs.
"""

from __future__ import annotations

import gc
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import cast

from executors.tasks import context

_MODULES = {
    "etl": "executors.training.etl",
    "features": "executors.training.features",
    "train": "executors.training.train",
    "evaluate": "executors.training.evaluate",
    "package": "executors.packaging.package",
    "serve": "executors.serving.serve",
}


class _WithoutPandas(PathFinder):
    """Python's own finder of libraries, to which pandas is not installed.

    Scikit-learn imports pandas wherever it is installed, for a second of processor time in every
    task. Tasks pass arrays only, and scikit-learn does without what cannot be imported; statsmodels
    does not, so it may have pandas. Others that only look for it, as torch does, find none: neither
    an error nor a module that is None.
    """

    @classmethod
    def find_spec(
        cls,
        fullname: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        """Return where a library is, None for pandas until statsmodels is imported."""
        if fullname == "pandas" and "statsmodels" not in sys.modules:
            return None
        return super().find_spec(fullname, path, target)


def leave_out() -> None:
    """Keep pandas from being found, until statsmodels is imported."""
    sys.meta_path[:] = [
        _WithoutPandas if finder is PathFinder else finder for finder in sys.meta_path
    ]


def _loaded(name: str) -> ModuleType:
    """Import a task's module, and have the garbage collector never look at what came with it.

    Libraries are a hundred thousand objects that stay. Going through them again and again while
    they come in takes a sixth of the processor time that a training starts with.
    """
    gc.disable()
    try:
        return importlib.import_module(name)
    finally:
        gc.freeze()
        gc.enable()


def main(arguments: Sequence[str]) -> int:
    """Run the task of a kind; return its exit code, with the reason on standard error."""
    if len(arguments) != 1 or arguments[0] not in _MODULES:
        sys.stderr.write(f"usage: python -m executors.tasks {'|'.join(_MODULES)}\n")
        return 2
    leave_out()
    module = _loaded(_MODULES[arguments[0]])
    run = cast("Callable[[context.Task], None]", module.run)
    try:
        run(context.Task.from_environment(os.environ))
    except context.TaskError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
