"""The library of CEL, without its command line: that takes a tenth of a second to import."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING

_COMMAND_LINE = "cel.cli"
"""The library imports it, and with it all that a prompt on a terminal is drawn with."""


def _loaded() -> ModuleType:
    """Return the library; whoever wants its command line can import that as ever."""
    before = {name: each for name, each in sys.modules.items() if name == _COMMAND_LINE}
    sys.modules[_COMMAND_LINE] = ModuleType(_COMMAND_LINE)
    try:
        return importlib.import_module("cel")
    finally:
        del sys.modules[_COMMAND_LINE]
        sys.modules.update(before)


if TYPE_CHECKING:
    import cel as cel
else:
    cel = _loaded()
