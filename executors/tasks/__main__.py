"""Runs one built-in task in the environment that an executor prepared.

Each kind imports its own module, found by name, so that a task starts with no more than it needs.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Sequence
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


def main(arguments: Sequence[str]) -> int:
    """Run the task of a kind; return its exit code, with the reason on standard error."""
    if len(arguments) != 1 or arguments[0] not in _MODULES:
        sys.stderr.write(f"usage: python -m executors.tasks {'|'.join(_MODULES)}\n")
        return 2
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
