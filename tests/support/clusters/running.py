"""The clusters that tests of this process share."""

from __future__ import annotations

import contextlib

RUNNING = contextlib.ExitStack()
"""Ends them: with the last test of the process, or with the last one that needs them."""
