"""Affinities of a task: `beside: etl`, or `apart from: {labels: {app: churn}, within: node}`."""

from __future__ import annotations

from engine.documents.codecs.base import Codec, Schema, Text, Word
from engine.documents.codecs.containers import Listed, Mapped
from engine.documents.codecs.forms import Field, Form, Values, present
from engine.documents.sources import Node, trouble
from engine.model.specs import Affinity, Within

LABELS = Mapped(Text("a label", 63), "labels")


def _build(values: Values) -> Affinity:
    return Affinity(
        within=Within(values.get("within", Within.CLUSTER)),
        **present(values, tasks="tasks", labels="labels"),
    )


FORM = Form[Affinity](
    "an affinity",
    {
        "tasks": Field(Listed(Text("a task")), "tasks of this pipeline"),
        "labels": Field(LABELS, "tasks of any pipeline that carry all of these"),
        "within": Field(
            Word(tuple(Within), "way to be near"), "what is shared: `node`, `cluster` or `region`"
        ),
    },
    _build,
    lambda a: {"tasks": a.tasks or None, "labels": a.labels or None, "within": a.within},
)


class AffinityCodec(Codec[Affinity]):
    """One affinity: a task by its name, which means its cluster, or a mapping."""

    def read(self, node: Node) -> Affinity:
        """Return the affinity; one that names nobody is a fault."""
        if node.members is None:
            return _build({"tasks": (Text("a task").read(node),)})
        affinity = FORM.read(node)
        if not affinity.tasks and not affinity.labels:
            message = "an affinity names neither tasks nor labels"
            raise trouble("S003", node, message, fix="add `tasks: ...` or `labels: {...}`")
        return affinity

    def write(self, value: Affinity) -> object:
        """Return the mapping."""
        return FORM.write(value)

    def schema(self) -> Schema:
        """Accept a name or a mapping."""
        return {"anyOf": [Text("a task").schema(), FORM.schema()]}


AFFINITIES = Listed(AffinityCodec())
