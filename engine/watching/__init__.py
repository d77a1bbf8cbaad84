"""The watch loop: signals to alarms to super-alarms to causes to actions.

It meets the other loops in the store only: it reads what they wrote and leaves actions there.
"""

from engine.watching.people import acknowledge as acknowledge
from engine.watching.people import resolve as resolve
from engine.watching.people import silence as silence
from engine.watching.policy import WatchPolicy as WatchPolicy
from engine.watching.watcher import Watcher as Watcher
