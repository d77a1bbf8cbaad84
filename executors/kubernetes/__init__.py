"""Runs attempts as Jobs on Kubernetes clusters, and finds the fleet in their nodes.

`KubernetesClusters` holds one guarded connection and one cache a cluster; `KubernetesExecutor` and
`KubernetesFleetSource` work on it; `diagnose` examines it. Names are looked up on first use: the
runner inside every pod imports this package too and needs none of them, and the client library is
an extra.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from executors.kubernetes.clusters import KubernetesClusters as KubernetesClusters
    from executors.kubernetes.diagnosis import diagnose as diagnose
    from executors.kubernetes.executor import KubernetesExecutor as KubernetesExecutor
    from executors.kubernetes.fleet import KubernetesFleetSource as KubernetesFleetSource
    from executors.kubernetes.journal import Journal as Journal
    from executors.kubernetes.node_signals import NodeSignals as NodeSignals
    from executors.kubernetes.paths import installation_of as installation_of
    from executors.kubernetes.paths import log_path as log_path
    from executors.kubernetes.paths import signals_folder as signals_folder
    from executors.kubernetes.pod_signals import PodSignals as PodSignals
    from executors.kubernetes.serving.registries import ask_registries as ask_registries
    from executors.kubernetes.settings import read_settings as read_settings
    from executors.kubernetes.signals import KubernetesSignals as KubernetesSignals

_HOMES = {
    "Journal": "executors.kubernetes.journal",
    "KubernetesClusters": "executors.kubernetes.clusters",
    "KubernetesExecutor": "executors.kubernetes.executor",
    "KubernetesFleetSource": "executors.kubernetes.fleet",
    "KubernetesSignals": "executors.kubernetes.signals",
    "NodeSignals": "executors.kubernetes.node_signals",
    "PodSignals": "executors.kubernetes.pod_signals",
    "ask_registries": "executors.kubernetes.serving.registries",
    "installation_of": "executors.kubernetes.paths",
    "log_path": "executors.kubernetes.paths",
    "diagnose": "executors.kubernetes.diagnosis",
    "signals_folder": "executors.kubernetes.paths",
    "read_settings": "executors.kubernetes.settings",
}


def __getattr__(name: str) -> object:
    """Import the module that holds an exported name, on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
