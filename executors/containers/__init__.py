"""Runs attempts in podman containers of this machine, under the contract of local processes.

`ContainerExecutor` is the local executor with another way to start its shims: each runs as the
first process of a container. Folder, claim, limits, exit, log and adoption are those of
`executors.local`. There is no daemon: podman's command line is all that is called.
"""

from executors.containers.executor import ContainerExecutor
from executors.containers.settings import ContainerSettings

__all__ = ["ContainerExecutor", "ContainerSettings"]
