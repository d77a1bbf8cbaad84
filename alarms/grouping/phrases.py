"""What each signal of Berth's own means to a person on call: one table of words.

`{}` stands for the subject in words. Signals of others have names of their own, which stay.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from engine.model.alarms import Alarm


class Side(StrEnum):
    """How a signal left what is normal."""

    HIGH = "high"
    LOW = "low"
    SILENT = "silent"


@dataclass(frozen=True, slots=True)
class Words:
    """Phrases by side; where one is empty, the side is told with the signal's name.

    what: the signal as a noun.
    """

    what: str
    high: str = ""
    low: str = ""
    silent: str = ""

    def of(self, side: Side, subject: str) -> str:
        """Return what happened to a subject, which is given in words."""
        phrase = {Side.HIGH: self.high, Side.LOW: self.low, Side.SILENT: self.silent}[side]
        if phrase:
            return phrase.format(subject)
        if side is Side.SILENT:
            return f"{self.what} of {subject}: no values any more"
        return f"{self.what} of {subject}: {side.value}"


WORDS: Mapping[str, Words] = MappingProxyType(
    {
        "reachable": Words(
            "reachability", low="{} cannot be reached", silent="{} is not heard of any more"
        ),
        "exit_killed": Words("killed processes", high="{} was killed"),
        "requests": Words(
            "requests",
            high="more requests than usual to {}",
            low="fewer requests than usual to {}",
            silent="no requests reach {} any more",
        ),
        "errors_share": Words("failed requests", high="requests to {} fail"),
        "latency_ms_p99": Words("slowest answers", high="{} answers slowly"),
        "quality": Words("right answers", low="{} is wrong more often"),
        "deadline_at_risk": Words("risk to the deadline", high="{} may miss its deadline"),
        "profile_exceeded": Words("run time", high="{} runs longer than ever"),
        "run_failed": Words("failed runs", high="{} failed"),
        "nulls_share": Words("empty cells", high="more empty cells in the data of {}"),
        "rows": Words("rows", high="more rows than usual in {}", low="fewer rows than usual in {}"),
        "rejected_rows": Words("rejected rows", high="{} rejects more rows than usual"),
        "columns": Words(
            "columns", high="the columns of {} changed", low="the columns of {} changed"
        ),
        "newest_record_age_seconds": Words(
            "age of the newest record", high="the records of {} are old"
        ),
        "source_age_seconds": Words("age of the source", high="{} reads an old file"),
        "output_age_seconds": Words("age of the output", high="{} made nothing new for long"),
        "sender_silent_seconds": Words("silence", high="{} sends no values any more"),
        "source_reachable": Words("reachability", low="{} cannot be asked"),
        "node_not_ready": Words("readiness", high="{} is not ready"),
        "node_memory_pressure": Words("memory pressure", high="{} is short of memory"),
        "node_disk_pressure": Words("disk pressure", high="{} is short of disk"),
        "node_pid_pressure": Words("process pressure", high="{} has too many processes"),
        "node_network_unavailable": Words("lost network", high="{} has no network"),
        "node_kernel_deadlock": Words("deadlock", high="the kernel of {} stands still"),
        "node_disk_readonly": Words("read-only disk", high="{} cannot write to its disk"),
        "training_loss": Words("loss", high="the loss of {} grows in training"),
        "gradient_norm": Words("gradient", high="the gradient of {} jumps in training"),
        "diverged": Words("divergence", high="the training of {} diverged"),
        "samples_per_second": Words("training speed", low="{} trains slowly"),
        "precision": Words("precision", low="{} loses precision in training"),
        "loss": Words("loss"),
        "disk_read_mib_per_second": Words("disk reads"),
        "disk_written_mib_per_second": Words("disk writes"),
        "network_received_mbps": Words("received traffic"),
        "network_sent_mbps": Words("sent traffic"),
        "network_faults": Words("network faults", high="the network of {} drops packets"),
        "gpu_used_share": Words("use"),
        "gpu_memory_gib_used": Words("used memory"),
        "gpu_temperature_celsius": Words("temperature", high="{} is hot"),
        "gpu_power_watts": Words("power"),
        "gpu_memory_errors": Words("memory errors", high="the memory of {} has errors"),
        "cpu_cores_used": Words("used cores"),
        "memory_gib_used": Words("used memory"),
        "processes": Words("processes"),
        "cpu_cores_taken": Words("taken cores"),
        "memory_gib_taken": Words("taken memory"),
        "gpus_taken": Words("taken GPUs"),
        "nodes": Words("usable nodes", low="{} has fewer nodes than usual"),
        "memory_gib_free": Words("free memory"),
        "disk_gib_free": Words("free disk"),
        "feature_median": Words(
            "values",
            high="{} is higher than in training",
            low="{} is lower than in training",
            silent="{} does not arrive any more",
        ),
        "feature_mean": Words(
            "values",
            high="{} is higher than in training",
            low="{} is lower than in training",
            silent="{} does not arrive any more",
        ),
    }
)
"""By signal: all that `docs/reference/signals.md` lists and that can alarm."""

_PARTS: Mapping[str, str] = MappingProxyType(
    {
        "task": "task {1} of {0}",
        "model": "model {1} of {0}",
        "feature": "feature {1} of {0}",
        "service": "service {1} of {0}",
        "node": "node {1} of cluster {0}",
        "gpu": "GPU {1} of machine {0}",
    }
)
"""By kind of subject: how one with two names reads."""

_KINDS: Mapping[str, str] = MappingProxyType(
    {
        **{kind: kind for kind in ("cluster", "machine", "pipeline", "run", "sender", *_PARTS)},
        "gpu": "GPU",
    }
)
"""How one subject of a kind is called; with an s, several."""


def side_of(alarm: Alarm) -> Side:
    """Return how the signal of an alarm left what is normal."""
    if alarm.test == "silence":
        return Side.SILENT
    return Side.LOW if alarm.statistic < 0 else Side.HIGH


def subject_in_words(subject: str) -> str:
    """Return a subject as people say it.

    >>> subject_in_words("task:heart/etl")
    'task etl of heart'
    """
    kind, _, name = subject.partition(":")
    whole, slash, part = name.partition("/")
    if slash and kind in _PARTS:
        return _PARTS[kind].format(whole, part)
    return f"{kind} {name}" if name else subject


def happened(alarm: Alarm) -> str:
    """Return in a few words what an alarm of Berth's own says."""
    words = WORDS.get(alarm.signal) or Words(alarm.signal)
    return words.of(side_of(alarm), subject_in_words(alarm.subject))


def too(first: str, subjects: AbstractSet[str]) -> str:
    """Return the end of a headline about a subject: how many others alarmed, "" for none.

    >>> too("cluster:x", {"cluster:x", "task:heart/etl", "task:heart/train"})
    '; 2 tasks alarmed too'
    """
    kinds = [subject.partition(":")[0] for subject in subjects - {first}]
    if not kinds:
        return ""
    noun = _KINDS.get(kinds[0], "") if len(set(kinds)) == 1 else ""
    if not noun:
        noun = "other"
    elif kinds[0] == first.partition(":")[0]:
        noun = f"other {noun}"
    return f"; {len(kinds)} {noun}{'s' if len(kinds) > 1 else ''} alarmed too"
