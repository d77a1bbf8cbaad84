"""Confines this process, then becomes another program: `python -m` this module, JSON, COMMAND...

What was confined stays so. The program has the limits, the empty network, and of the files only
those it was given; it can start no process, and make no socket. It may answer over one that was
handed to it.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from engine.model.errors import BerthError
from executors.packaging.security.sandbox import confinement, filters
from executors.packaging.security.sandbox.confinement import Bounds
from executors.packaging.security.sandbox.inside import open_to_all


def main(arguments: Sequence[str]) -> int:
    """Become the program; return only when that cannot be."""
    told = json.loads(arguments[0])
    command = list(arguments[1:])
    done = confinement.confine(
        Bounds(**told["bounds"]),
        reads=[*open_to_all(), *map(Path, told["reads"])],
        writes=[Path(path) for path in told["writes"]],
        calls=filters.OF_PROGRAMS,
    )
    try:
        done.require(holds_socket=told["holds_socket"])
        os.execve(command[0], command, told["environment"])  # noqa: S606 - no shell is wanted
    except (BerthError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
