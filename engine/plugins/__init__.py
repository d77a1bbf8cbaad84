"""Parts that other distributions bring, found by entry points."""

from engine.plugins.entry_points import GROUPS as GROUPS
from engine.plugins.entry_points import load as load
