"""Runs one built-in task in the environment that an executor prepared.

Each kind imports its own module, found by name, so that a task starts with no more than it needs.
"""

from __future__ import annotations

import importlib
import importlib.abc
import os
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
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


_LEFT_OUT = "pandas"


class _Lets(importlib.abc.MetaPathFinder):
    """Lets statsmodels have what `leave_out` keeps from others."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002 - the protocol of finders
        target: ModuleType | None = None,  # noqa: ARG002 - as above
    ) -> ModuleSpec | None:
        """Note that statsmodels is wanted; leave finding it to the next finder."""
        if fullname == "statsmodels" and sys.modules.get(_LEFT_OUT, self) is None:
            del sys.modules[_LEFT_OUT]
        return None


def leave_out() -> None:
    """Make pandas look as if it was not installed, until statsmodels is imported.

    Scikit-learn imports pandas wherever it is installed, for a second of processor time in every
    task. Tasks pass arrays only, and scikit-learn does without what cannot be imported; statsmodels
    does not. None in `sys.modules` is what Python itself takes for absent, also when somebody only
    looks for the library, as torch does.
    """
    cast("dict[str, ModuleType | None]", sys.modules).setdefault(_LEFT_OUT, None)
    sys.meta_path.insert(0, _Lets())


def main(arguments: Sequence[str]) -> int:
    """Run the task of a kind; return its exit code, with the reason on standard error."""
    if len(arguments) != 1 or arguments[0] not in _MODULES:
        sys.stderr.write(f"usage: python -m executors.tasks {'|'.join(_MODULES)}\n")
        return 2
    leave_out()
    module = importlib.import_module(_MODULES[arguments[0]])
    run = cast("Callable[[context.Task], None]", module.run)
    try:
        run(context.Task.from_environment(os.environ))
    except context.TaskError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
