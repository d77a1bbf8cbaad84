"""What runs in the confined process: `python -m` this module, with one call on standard input.

Two lines of JSON: what is called, and, now or later, with what. The called function's module is
imported after the first line, before the process confines itself: it is ours, and needs files that
are closed to it afterwards. An empty line tells that it is; the answer follows.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import sysconfig
from pathlib import Path
from typing import Any

from engine.model.errors import BerthError
from executors.packaging.security.sandbox import confinement
from executors.packaging.security.sandbox.confinement import Bounds

_SYSTEM = ("/usr/lib", "/lib", "/lib64", "/usr/share/zoneinfo", "/etc/ld.so.cache", "/dev/null")
_SEEN = ("/dev/urandom", "/proc/self", "/sys/devices/system/cpu")


def open_to_all() -> list[Path]:
    """Return what every confined process may read: the interpreter, and what it needs."""
    ours = (sys.prefix, sys.base_prefix, sysconfig.get_path("stdlib"))
    return [Path(path) for path in (*ours, *_SYSTEM, *_SEEN)]


def main() -> int:
    """Make the call; return the exit code."""
    first = json.loads(sys.stdin.readline())
    # What is called may print; only the answer goes where the answer is expected.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    module, _, name = str(first["call"]).partition(":")
    function = getattr(importlib.import_module(module), name)
    answers.write("\n")
    answers.flush()
    line = sys.stdin.readline()
    if not line:
        return 0  # it was begun ahead, and is not needed
    told: dict[str, Any] = json.loads(line)
    reads = [*open_to_all(), *(Path(path) for path in (first["root"], *told["reads"]))]
    done = confinement.confine(
        Bounds(**told["bounds"]), reads=reads, writes=[Path(path) for path in told["writes"]]
    )
    answer: dict[str, Any] = {"applied": done.applied, "missing": done.missing}
    try:
        done.require()
        answer["value"] = function(**told["arguments"])
    except BerthError as error:
        answer["error"] = {
            "kind": type(error).__name__,
            "message": error.message,
            "fix": error.fix,
        }
    except MemoryError:
        answer["error"] = {"kind": "DamagedError", "message": "it needs more memory than allowed"}
    json.dump(answer, answers)
    answers.flush()
    return 0


if __name__ == "__main__":
    # All is said, and to take an interpreter down takes longer than most calls.
    os._exit(main())
