"""The library of CEL, without its command line: that takes a tenth of a second to import."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Generator
from types import ModuleType

_COMMAND_LINE = "cel.cli"
"""The library imports it, and with it all that a prompt on a terminal is drawn with."""


@contextlib.contextmanager
def _without_command_line() -> Generator[None]:
    """Have an import find nothing there; whoever wants it can import it as ever afterwards."""
    before = {name: each for name, each in sys.modules.items() if name == _COMMAND_LINE}
    sys.modules[_COMMAND_LINE] = ModuleType(_COMMAND_LINE)
    try:
        yield
    finally:
        del sys.modules[_COMMAND_LINE]
        sys.modules.update(before)


with _without_command_line():
    import cel as cel
