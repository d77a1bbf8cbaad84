"""The one composition root: settings in, parts out. Nobody else makes adapters."""

from api.wiring.application import Application
from api.wiring.parts import Parts, build

__all__ = ["Application", "Parts", "build"]
