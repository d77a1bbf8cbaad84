"""Runs attempts as real processes of this machine; a cluster is a ledger of declared capacity.

`LocalExecutor` starts and observes, `FolderArtifacts` keeps what tasks write, `LocalSignals`
delivers what was measured, `ClusterSwitch` and `FileFleetSource` say which clusters answer.
The names are looked up on first use, because the shim beside every task imports this package too
and needs none of them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from executors.local.artifacts import FolderArtifacts as FolderArtifacts
    from executors.local.executor import LocalExecutor as LocalExecutor
    from executors.local.machine import MachineSignals as MachineSignals
    from executors.local.measurements import LocalSignals as LocalSignals
    from executors.local.switch import ClusterSwitch as ClusterSwitch
    from executors.local.switch import FileFleetSource as FileFleetSource

_HOMES = {
    "FolderArtifacts": "executors.local.artifacts",
    "LocalExecutor": "executors.local.executor",
    "MachineSignals": "executors.local.machine",
    "LocalSignals": "executors.local.measurements",
    "ClusterSwitch": "executors.local.switch",
    "FileFleetSource": "executors.local.switch",
}


def __getattr__(name: str) -> object:
    """Import the module that holds an exported name, on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
