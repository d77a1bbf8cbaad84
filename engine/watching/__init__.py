"""The watch loop: signals to alarms to super-alarms to causes to actions.

It meets the other loops in the store only: it reads what they wrote and leaves actions there.
"""

from engine.watching.asking import ask as ask
from engine.watching.asking import offered as offered
from engine.watching.judgements import Month as Month
from engine.watching.judgements import add_silence as add_silence
from engine.watching.judgements import end_silence as end_silence
from engine.watching.judgements import give_check_feedback as give_check_feedback
from engine.watching.judgements import give_feedback as give_feedback
from engine.watching.judgements import precision_by_month as precision_by_month
from engine.watching.judgements import verdicts as verdicts
from engine.watching.matchers import matchers as matchers
from engine.watching.people import ACKNOWLEDGED_SECONDS as ACKNOWLEDGED_SECONDS
from engine.watching.people import acknowledge as acknowledge
from engine.watching.people import note as note
from engine.watching.people import resolve as resolve
from engine.watching.people import silence as silence
from engine.watching.policy import MendPolicy as MendPolicy
from engine.watching.policy import WatchPolicy as WatchPolicy
from engine.watching.regrouping import merge as merge
from engine.watching.regrouping import split as split
from engine.watching.watcher import Watcher as Watcher
