"""What an installation is set to: frozen values from a file, the environment and arguments."""

from api.settings.loading import load
from api.settings.values import Settings

__all__ = ["Settings", "load"]
