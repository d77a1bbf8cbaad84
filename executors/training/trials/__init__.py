"""Search for hyper-parameters: trials as processes or Jobs, stopped early, resumed after any kill.

`trial` is what an objective sees; `spaces` and `samplers` propose configurations; `halving` decides
what runs next; `journal` keeps every event; `study` holds it together and gives its work to one of
the `hosts`: processes of this machine, which `host` forks, or `tasks` of a cluster, in which
`visiting` runs; `comparing` prints what pruning saved.
"""

from executors.training.trials.trial import Trial

__all__ = ["Trial"]
