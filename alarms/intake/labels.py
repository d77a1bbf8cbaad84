"""Labels of other systems: bounded, and read for what they say of subject, layer and severity."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from engine.model.alarms import Severity
from engine.model.signals import Layer

LABELS_MOST = 64
LABEL_CHARACTERS_MOST = 256
"""Longer values are cut; a hash keeps two that differ later apart."""
_HASH_DIGITS = 8
_SUBJECT_CHARACTERS_MOST = 200

_SEVERITIES = {
    **dict.fromkeys(
        ("critical", "page", "emergency", "fatal", "error", "high", "p1", "sev1", "disaster"),
        Severity.CRITICAL,
    ),
    **dict.fromkeys(
        ("info", "informational", "none", "notice", "low", "debug", "p4", "p5"), Severity.INFO
    ),
}
_SUBJECTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("feature", ("pipeline", "feature")),
    ("task", ("pipeline", "task")),
    ("model", ("model",)),
    ("pod", ("namespace", "pod")),
    ("service", ("namespace", "service")),
    ("deployment", ("namespace", "deployment")),
    ("node", ("node",)),
    ("instance", ("instance",)),
    ("pipeline", ("pipeline",)),
    ("job", ("job",)),
    ("cluster", ("cluster",)),
)
"""Kinds of subjects, the narrowest first, with the labels that name one."""
_MACHINE_LABELS = frozenset({"node", "device", "mountpoint", "gpu", "cpu", "disk"})
_SERVICE_LABELS = frozenset({"pod", "service", "deployment", "container", "model", "handler"})


def bounded(labels: Mapping[str, object]) -> dict[str, str]:
    """Return labels as texts of a bounded length and number, in order of their names.

    What is cut ends with a hash of the whole, so that different values stay different.
    """
    found = {cut(str(name)): cut(str(labels[name])) for name in sorted(labels, key=str)}
    return dict(list(found.items())[:LABELS_MOST])


def cut(text: str) -> str:
    """Return a text of at most `LABEL_CHARACTERS_MOST` characters that can be stored."""
    text = text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")
    if len(text) <= LABEL_CHARACTERS_MOST:
        return text
    digits = hashlib.sha256(text.encode()).hexdigest()[:_HASH_DIGITS]
    return f"{text[: LABEL_CHARACTERS_MOST - _HASH_DIGITS - 1]}~{digits}"


def fingerprint(labels: Mapping[str, object]) -> str:
    """Return 16 hexadecimal digits that are equal when all labels are, however long they are."""
    parts = [f"{name}\x1f{labels[name]}" for name in sorted(labels, key=str)]
    text = "\x1e".join(parts).encode("utf-8", "replace")
    return hashlib.blake2b(text, digest_size=8).hexdigest()


def severity_of(labels: Mapping[str, str]) -> Severity:
    """Return the severity that labels tell of; a warning where they do not."""
    told = labels.get("severity") or labels.get("priority") or labels.get("level") or ""
    return _SEVERITIES.get(told.strip().lower(), Severity.WARNING)


def subject_of(labels: Mapping[str, str], otherwise: str) -> tuple[str, frozenset[str]]:
    """Return what labels are about, as `KIND:NAME`, and the labels that say so.

    otherwise: the name of the subject where no label tells.
    """
    told = labels.get("subject", "")
    if ":" in told:
        return told[:_SUBJECT_CHARACTERS_MOST], frozenset({"subject"})
    for kind, names in _SUBJECTS:
        if names[-1] in labels and (len(names) == 1 or kind in {"pod", "service", "deployment"}):
            present = [name for name in names if name in labels]
        elif all(name in labels for name in names):
            present = list(names)
        else:
            continue
        name = "/".join(labels[part] for part in present)
        return f"{kind}:{name}"[:_SUBJECT_CHARACTERS_MOST], frozenset(present)
    return f"sender:{otherwise}", frozenset()


def layer_of(labels: Mapping[str, str]) -> Layer:
    """Return the layer that labels tell of, by a label `layer` or by what else they name."""
    told = labels.get("layer", "")
    if told in set(Layer):
        return Layer(told)
    if "feature" in labels:
        return Layer.FEATURES
    names = set(labels)
    if names & _SERVICE_LABELS:
        return Layer.SERVING
    if names & _MACHINE_LABELS or "instance" in labels:
        return Layer.MACHINE
    return Layer.SERVING
