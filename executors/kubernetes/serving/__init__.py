"""Serve tasks on Kubernetes: a Service with one or two Deployments behind it.

`rollout` decides what follows from what is seen, `objects` writes it as manifests, `bringing` does
what is missing of it on a cluster for `executors.kubernetes.servers`, and `pod` runs in every pod.
"""

PORT = 8080
"""Where a server listens in its pod, and its Service."""
DRAIN_SECONDS = 5.0
"""How long a pod that leaves still answers, so that nobody who was told of it finds it shut."""
