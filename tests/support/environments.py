"""What processes that tests start find in their environment."""

from __future__ import annotations

import os


def untraced() -> dict[str, str]:
    """Return this process's environment for a process whose lines are not to be counted.

    Counting makes a process several times slower. What only processes of their own run is counted
    in the tests that are about just that.
    """
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("COVERAGE_PROCESS_")
    }
