"""Loops over a list that a task writes while the pipeline runs, as far as they are written here.

    split: {kind: etl}
    train: {kind: train, after: split, each: {part: split.parts}, most: 8, reads: "{{part}}"}

becomes `train-1` to `train-8`, of which as many run as `parts` has values. See `loops`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import networkx as nx

from engine.documents.codecs.base import Name, Text, Whole
from engine.documents.codecs.forms import Field, Form
from engine.documents.sources import Node, fault, trouble
from engine.model.errors import Fault
from engine.model.identifiers import TaskName
from engine.model.specs import Turn

VALUES_MAX = 100
"""Tasks that one loop may become."""
MOST = Whole(1, VALUES_MAX)
_REFERENCE = re.compile(r"([a-z][a-z0-9-]*)\.([A-Za-z_][\w-]*)")

TURN = Form[Turn](
    "a turn",
    {
        "task": Field(Name(), "task that writes the list", required=True),
        "output": Field(Text("an output"), "output that holds it, as JSON", required=True),
        "parameter": Field(Text("a parameter"), "what a value is called", required=True),
        "number": Field(MOST, "which value, from 1", required=True),
        "most": Field(MOST, "how many values there may be", required=True),
    },
    lambda v: Turn(
        task=TaskName(v["task"]),
        output=v["output"],
        parameter=v["parameter"],
        number=v["number"],
        most=v["most"],
    ),
    lambda t: {
        "task": t.task,
        "output": t.output,
        "parameter": t.parameter,
        "number": t.number,
        "most": t.most,
    },
)


def turns(task: Node) -> list[Turn] | None:
    """Return the turns of a loop over an output; None where the loop names its values itself.

    Raises:
        TroubleError: when `most` is missing or no number.
    """
    each, most = ((task.members or {}).get(key) for key in ("each", "most"))
    if each is None or len(each.members or {}) != 1:
        return None
    ((parameter, value),) = (each.members or {}).items()
    found = _REFERENCE.fullmatch(value.value) if isinstance(value.value, str) else None
    if found is None:
        return None
    if most is None:
        text = f"how many values `{value.value}` will have is not known when a plan is made"
        raise trouble("S023", each, text, fix="add `most: N`, for which the plan reserves")
    count = MOST.read(most)
    return [
        Turn(
            task=TaskName(found[1]),
            output=found[2],
            parameter=parameter,
            number=number,
            most=count,
        )
        for number in range(1, count + 1)
    ]


def turn_faults(
    node: Node, name: str, turn: Turn, graph: nx.DiGraph[str], known: Mapping[str, object]
) -> list[Fault]:
    """Return the fault of a turn whose list is not written before it.

    node: of the task or its turn. known: tasks of the pipeline by name.
    """
    if turn.task in known and turn.task in nx.ancestors(graph, name):
        return []
    if turn.task in known:
        text, fix = f"`{turn.task}` is not before `{name}`", f"add `{turn.task}` to `after`"
    else:
        text, fix = f"`{turn.task}` is no task of this pipeline", "name a task before it"
    text = f"the loop goes over `{turn.task}.{turn.output}`, and {text}"
    return [fault("S023", node, text, at=node.key_place, fix=fix)]
