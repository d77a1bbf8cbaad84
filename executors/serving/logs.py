"""How a process that serves writes its log: one line for each record, to standard error.

Uvicorn's own set-up (`logging.config`) first shuts down the handlers of every other library. So its
configurations here have none (`log_config=None`): its errors go where all others go.
"""

from __future__ import annotations

import logging
import sys

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def to_standard_error(level: int = logging.WARNING) -> None:
    """Write what is at least of a level to standard error; who has handlers already keeps those."""
    logging.basicConfig(level=level, format=_FORMAT, stream=sys.stderr)
