"""What is read of Kubeflow's and Argo's documents, what it becomes, and what does not map.

These tables drive the readers: a key that stands in none is reported as unknown, one without a
counterpart with its reason. The reference page is made from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from engine.documents.sources import Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """One thing that does not map, or maps with a difference. Lines count from 1."""

    line: int
    path: str
    message: str


@dataclass(frozen=True, slots=True)
class Key:
    """A key: what it becomes in Berth, or why nothing; `quiet` ones change nothing here."""

    becomes: str = ""
    lost: str = ""
    quiet: bool = False


def _becomes(text: str) -> Key:
    return Key(becomes=text)


def _lost(text: str) -> Key:
    return Key(lost=text)


QUIET = Key(quiet=True)
_OWN = "Berth chooses where tasks run"
_FILES = "artefacts pass as folders: read `$BERTH_INPUTS/TASK`"

TABLES: Mapping[str, Mapping[str, Key]] = {
    "KFP pipeline": {
        "pipelineInfo": _becomes("`pipeline`"),
        "root": _becomes("`tasks`"),
        "components": _becomes("`tasks`, groups written out"),
        "deploymentSpec": _becomes("`image`, `command`, resources"),
        "defaultPipelineRoot": _lost("artefacts stand in Berth's own store"),
        "schemaVersion": QUIET,
        "sdkVersion": QUIET,
    },
    "KFP task": {
        "componentRef": _becomes("the task, or the tasks of a group"),
        "dependentTasks": _becomes("`after`"),
        "inputs": _becomes("`parameters`, `after`"),
        "triggerPolicy": _becomes("`when`; its strategy `join`"),
        "parameterIterator": _becomes("`each`, over an output with `most`"),
        "iteratorPolicy": _becomes("`at once`"),
        "retryPolicy": _becomes("`retries`"),
        "artifactIterator": _lost("a loop over artefacts is not known before the run"),
        "cachingOptions": _lost("Berth runs every task of a run; results are not cached"),
        "taskInfo": QUIET,
    },
    "KFP container": {
        "image": _becomes("`image`"),
        "command": _becomes("`command`"),
        "args": _becomes("`command`"),
        "resources": _becomes("`cpu`, `memory`, `gpu`"),
        "env": _lost("set variables in the image or command"),
        "lifecycle": _lost("there are no hooks of containers"),
        "pullPolicy": _lost("the cluster decides when an image is pulled"),
    },
    "KFP resources": {
        "cpuLimit": _becomes("`cpu`"),
        "memoryLimit": _becomes("`memory`"),
        "resourceCpuLimit": _becomes("`cpu`"),
        "resourceMemoryLimit": _becomes("`memory`"),
        "cpuRequest": _becomes("`cpu`, without a limit"),
        "memoryRequest": _becomes("`memory`, without a limit"),
        "resourceCpuRequest": _becomes("`cpu`, without a limit"),
        "resourceMemoryRequest": _becomes("`memory`, without a limit"),
        "accelerator": _becomes("`gpu`"),
    },
    "KFP retry": {
        "maxRetryCount": _becomes("`retries`"),
        "backoffDuration": _lost("Berth's own pause between attempts grows by itself"),
        "backoffFactor": QUIET,
        "backoffMaxDuration": QUIET,
    },
    "Argo workflow": {
        "entrypoint": _becomes("which template is the pipeline"),
        "templates": _becomes("`tasks`"),
        "arguments": _becomes("`parameters`, and values in `command`"),
        "onExit": _becomes("a task after all others with `join: done`"),
        "parallelism": _becomes("`at once` of each loop"),
        "activeDeadlineSeconds": _lost("write `sla: {deadline: in 2 h}`"),
        "serviceAccountName": _lost("the account of a cluster stands in Berth's settings"),
        "volumes": _lost(_FILES),
        "volumeClaimTemplates": _lost(_FILES),
        "nodeSelector": _lost(_OWN),
        "affinity": _lost(_OWN),
        "tolerations": _lost(_OWN),
        "schedule": _lost("start runs by `cron` and `berth apply`"),
        "schedules": _lost("start runs by `cron` and `berth apply`"),
        "ttlStrategy": QUIET,
        "podGC": QUIET,
        "podMetadata": QUIET,
        "workflowSpec": _becomes("the workflow of a CronWorkflow"),
    },
    "Argo template": {
        "name": _becomes("how tasks refer to it"),
        "inputs": _becomes("values in `command`, and `parameters`"),
        "container": _becomes("`image`, `command`, resources"),
        "script": _becomes("`image`, `command` with the source as its last word"),
        "dag": _becomes("`tasks` with `after`"),
        "steps": _becomes("`tasks`, each group after the one before"),
        "retryStrategy": _becomes("`retries`"),
        "parallelism": _becomes("`at once` of each loop in it"),
        "outputs": _lost("write small values to `$BERTH_OUTPUTS/outputs.json`"),
        "activeDeadlineSeconds": _lost("a task may take ten times its P99"),
        "nodeSelector": _lost(_OWN),
        "affinity": _lost(_OWN),
        "tolerations": _lost(_OWN),
        "volumes": _lost(_FILES),
        "initContainers": _lost("do it in the command"),
        "sidecars": _lost("a task has one container"),
        "synchronization": _lost("use `at once`, or quotas of the fleet"),
        "memoize": _lost("Berth runs every task of a run; results are not cached"),
        "metrics": _lost("see `signals`"),
        "resource": _lost("Berth makes no objects of a cluster but its own"),
        "suspend": _lost("pause a pipeline by `berth pause`"),
        "http": _lost("call it in a command"),
        "plugin": _lost("call it in a command"),
        "data": _lost("list files in a command"),
        "containerSet": _lost("a task has one container"),
        "metadata": QUIET,
    },
    "Argo task": {
        "name": _becomes("the task's name"),
        "template": _becomes("what it runs"),
        "inline": _becomes("what it runs"),
        "arguments": _becomes("values in `command`, and `parameters`"),
        "dependencies": _becomes("`after`"),
        "depends": _becomes("`after`; more than names also `join: done` and `when`"),
        "when": _becomes("`when`"),
        "withItems": _becomes("`each`"),
        "withParam": _becomes("`each`, over an output with `most`"),
        "withSequence": _becomes("`each`"),
        "continueOn": _lost("write `join: done` at the tasks after it"),
        "templateRef": _lost("its template stands in another document"),
        "hooks": _lost("add a task with `join: done`"),
        "onExit": _lost("add a task with `join: done`"),
    },
    "Argo container": {
        "image": _becomes("`image`"),
        "command": _becomes("`command`"),
        "args": _becomes("`command`"),
        "source": _becomes("the last word of `command`"),
        "resources": _becomes("`cpu`, `memory`, `gpu`"),
        "env": _lost("set variables in the image or command"),
        "envFrom": _lost("set variables in the image or command"),
        "volumeMounts": _lost(_FILES),
        "name": QUIET,
        "imagePullPolicy": QUIET,
        "workingDir": _lost("change the folder in the command"),
        "securityContext": _lost("Berth sets its own, which is stricter"),
        "ports": QUIET,
    },
    "Argo retry": {
        "limit": _becomes("`retries`"),
        "backoff": _lost("Berth's own pause between attempts grows by itself"),
        "retryPolicy": _lost("failures that may pass are tried again, others are not"),
        "expression": _lost("failures that may pass are tried again, others are not"),
        "affinity": _lost(_OWN),
    },
}
"""By kind of object: every key that is known, in the order of the reference page."""


class Notes:
    """Gathers what does not map."""

    def __init__(self) -> None:
        self.found: list[Note] = []

    def add(self, node: Node, message: str) -> None:
        """Note something about a node."""
        place = node.key_place if node.key_place.line else node.place
        self.found.append(Note(line=place.line, path=node.path, message=message))

    def members(self, node: Node | None, table: str) -> dict[str, Node]:
        """Return the entries of an object that are read; note the others."""
        kept: dict[str, Node] = {}
        for name, member in ((node.members or {}) if node else {}).items():
            key = TABLES[table].get(name)
            if key is None:
                self.add(member, f"`{name}` is not known here")
            elif key.lost:
                self.add(member, f"`{name}` does not map: {key.lost}")
            elif not key.quiet:
                kept[name] = member
        return kept
