"""Runs what was submitted: a level-triggered loop between the store and the executors.

`submit` and `cancel` write what is wanted, `Dispatcher.step` brings it about, and `status` reads
how far it is.
"""

from __future__ import annotations

from engine.dispatching.dispatcher import Dispatcher
from engine.dispatching.freshness import FreshnessSignals
from engine.dispatching.progress import status
from engine.dispatching.signals import PlanSignals
from engine.dispatching.submission import cancel, submit, submit_once

__all__ = [
    "Dispatcher",
    "FreshnessSignals",
    "PlanSignals",
    "cancel",
    "status",
    "submit",
    "submit_once",
]
