"""Search for hyper-parameters: trials as processes, stopped early, resumed after any kill.

`trial` is what an objective sees; `spaces` and `samplers` propose configurations; `halving` decides
what runs next; `journal` keeps every event; `host` forks the processes; `study` holds it together;
`comparing` prints what pruning saved.
"""

from executors.training.trials.trial import Trial

__all__ = ["Trial"]
