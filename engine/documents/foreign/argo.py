"""Workflows of Argo (`Workflow`, `WorkflowTemplate`, `CronWorkflow`) as a pipeline of ours.

Templates of steps and graphs are written out. What Argo calls `outputs.result` or an output
parameter of a task is an entry of its `outputs.json`. A name alone under `depends` goes on in
Argo when that task was skipped; here a skip is no success, and what comes after is skipped too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from engine.documents.foreign import building, depending, turns
from engine.documents.foreign.building import Task
from engine.documents.foreign.tables import Notes
from engine.documents.foreign.turns import Over
from engine.documents.sources import Node, plain
from engine.model.specs import Join, Scalar

_GPU = "nvidia.com/gpu"
_SEQUENCE_MAX = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What a template hands to the tasks in it; `names` are of tasks beside, in Argo's words."""

    values: Mapping[str, str] = field(default_factory=dict)
    after: tuple[str, ...] = ()
    when: tuple[str, ...] = ()
    join: Join | None = None
    each: list[dict[str, Scalar]] | Over | None = None
    at_once: int | None = None
    depth: int = 0


class Reader:
    """Reads one workflow."""

    def __init__(self, root: Node) -> None:
        self.notes = Notes()
        self.tasks: list[Task] = []
        self._opened = 0
        self._room = building.Room()
        self._root = root
        spec = (root.members or {}).get("spec")
        outer = self.notes.members(spec, "Argo workflow")
        inner = outer.get("workflowSpec")
        self._spec = self.notes.members(inner, "Argo workflow") if inner else outer
        self._templates = {
            name.shown(): template
            for template in _items(self._spec.get("templates"))
            if (name := (template.members or {}).get("name")) is not None
        }

    def read(self) -> dict[str, object]:
        """Return the pipeline."""
        values: dict[str, str] = {}
        for node in _items(_at(self._spec.get("arguments"), "parameters")):
            name, value = _at(node, "name"), _at(node, "value")
            if name is not None and value is not None:
                values[f"workflow.parameters.{name.shown()}"] = value.shown()
            elif name is not None:
                self.notes.add(node, f"`{name.shown()}` has no value; write it in")
        entry = self._spec.get("entrypoint")
        scope = Scope(values=values, at_once=_whole(self._spec.get("parallelism")))
        if entry is None:
            self.notes.add(self._root, "the workflow has no `entrypoint`")
        else:
            self._template(entry.shown(), entry, scope, self._name())
        last = self._spec.get("onExit")
        if last is not None:
            before = [task.name for task in self.tasks]
            done = replace(scope, after=tuple(before), join=Join.DONE)
            self._template(last.shown(), last, done, last.shown())
        return building.written(self._name(), self.tasks)

    def _name(self) -> str:
        found = _at(self._root, "metadata", "name") or _at(self._root, "metadata", "generateName")
        return found.shown() if found is not None else "workflow"

    def _template(self, name: str, at: Node, scope: Scope, called: str) -> list[str]:
        """Add what a template runs; return the names of its tasks."""
        template = self._templates.get(name)
        if template is None or scope.depth > building.DEPTH_MAX:
            why = "stands in another document" if template is None else "calls itself"
            self.notes.add(at, f"the template `{name}` {why}")
            return []
        return self._body(template, scope, called)

    def _body(self, template: Node, scope: Scope, called: str) -> list[str]:
        self._opened += 1
        if self._opened > building.OPENED_MAX:
            if self._opened == building.OPENED_MAX + 1:
                message = f"over {building.OPENED_MAX} uses of templates are not read"
                self.notes.add(template, message)
            return []
        members = self.notes.members(template, "Argo template")
        values = dict(scope.values)
        for node in _items(_at(members.get("inputs"), "parameters")):
            name, value = _at(node, "name"), _at(node, "value") or _at(node, "default")
            if name is not None and value is not None:
                values.setdefault(f"inputs.parameters.{name.shown()}", value.shown())
        artifacts = _at(members.get("inputs"), "artifacts")
        if artifacts is not None:
            self.notes.add(artifacts, "artefacts pass as folders: read `$BERTH_INPUTS/TASK`")
        at_once = _whole(members.get("parallelism")) or scope.at_once
        scope = replace(scope, values=values, at_once=at_once, depth=scope.depth + 1)
        if "dag" in members:
            return self._graph(_items(_at(members["dag"], "tasks")), scope)
        if "steps" in members:
            return self._steps(members["steps"], scope)
        if "container" in members or "script" in members:
            return [self._container(template, members, scope, called)]
        self.notes.add(template, "the template runs no container, script, steps or graph")
        return []

    # ------------------------------------------------------------ steps and graphs

    def _graph(self, nodes: list[Node], scope: Scope) -> list[str]:
        ends: dict[str, list[str]] = {}
        named = {name.shown(): node for node in nodes if (name := _at(node, "name")) is not None}
        for one in building.in_order({name: _before(node) for name, node in named.items()}):
            ends[one] = self._task(one, named[one], scope, ends, "tasks")
        return [name for names in ends.values() for name in names]

    def _steps(self, groups: Node, scope: Scope) -> list[str]:
        ends: dict[str, list[str]] = {}
        after = scope.after
        for group in _items(groups):
            inner = replace(scope, after=after)
            added: list[str] = []
            for node in _items(group):
                name = _at(node, "name")
                if name is not None:
                    ends[name.shown()] = self._task(name.shown(), node, inner, ends, "steps")
                    added += ends[name.shown()]
            # A branch that is skipped holds up no later step: one of a group is enough.
            skippable = any(task.when for task in self.tasks if task.name in added)
            scope = replace(scope, join=Join.ANY if skippable and len(added) > 1 else None)
            after = tuple(added) or after
        return [name for names in ends.values() for name in names]

    def _task(
        self, name: str, node: Node, scope: Scope, ends: Mapping[str, list[str]], word: str
    ) -> list[str]:
        """Add one task of a graph or step, which may be a template of many."""
        members = self.notes.members(node, "Argo task")
        scope = self._order(members, scope, ends)
        scope = self._loop(members, scope, ends, word)
        values = {k: v for k, v in scope.values.items() if not k.startswith("inputs.")}
        for given in _items(_at(members.get("arguments"), "parameters")):
            key, value = _at(given, "name"), _at(given, "value")
            if key is not None and value is not None:
                text = self._put_in(value, value.shown(), scope)
                values[f"inputs.parameters.{key.shown()}"] = text
            elif key is not None:
                self.notes.add(given, f"`{key.shown()}` is given in a way that does not map")
        scope = self._when(members.get("when"), scope, ends, word)
        inner = replace(scope, values=values)
        if "inline" in members:
            return self._body(members["inline"], inner, name)
        template = members.get("template")
        if template is None:
            self.notes.add(node, f"`{name}` names no template")
            return []
        return self._template(template.shown(), template, inner, name)

    def _order(
        self, members: Mapping[str, Node], scope: Scope, ends: Mapping[str, list[str]]
    ) -> Scope:
        """Put `dependencies` and `depends` into `after`, `join` and `when`."""
        names = [item.shown() for item in _items(members.get("dependencies"))]
        node = members.get("depends")
        expression = node.shown() if node is not None else " && ".join(names)
        if not expression:
            return scope
        try:
            found = depending.depends(expression, ends)
        except ValueError as error:
            self.notes.add(node or members["dependencies"], f"`depends` does not map: {error}")
            return scope
        after = (*scope.after, *found.after)
        if not found.when:
            return replace(scope, after=after, join=found.join or scope.join)
        return replace(scope, after=after, join=Join.DONE, when=(*scope.when, found.when))

    def _when(
        self, node: Node | None, scope: Scope, ends: Mapping[str, list[str]], word: str
    ) -> Scope:
        if node is None:
            return scope
        try:
            self._check_room(node.shown(), scope)
            when, reads = depending.condition(node.shown(), scope.values, ends, word)
        except ValueError as error:
            self.notes.add(node, f"the condition does not map, the task never runs: {error}")
            return replace(scope, when=(*scope.when, "false"))
        after = tuple(dict.fromkeys((*scope.after, *reads)))
        return replace(scope, when=(*scope.when, when), after=after)

    def _loop(
        self,
        members: Mapping[str, Node],
        scope: Scope,
        ends: Mapping[str, list[str]],
        word: str,
    ) -> Scope:
        node = next(
            (members[k] for k in ("withItems", "withParam", "withSequence") if k in members), None
        )
        if node is None:
            return scope
        items = self._sequence(node, scope) if "withSequence" in members else plain(node)
        if isinstance(items, str):
            items = self._put_in(node, items, scope)
            output = depending.output_of(items, ends, word)
            if output is not None and scope.each is None:
                over = Over("item", *output)
                self.notes.add(node, over.said)
                return replace(scope, each=over, after=(*scope.after, over.task))
        values = turns.listed(items)
        rows = [building.flattened(value) for value in values] if values is not None else None
        why = turns.why_not(rows, inner=scope.each is not None)
        if why or not rows:
            self.notes.add(node, f"this loop does not map: {why}; its task runs once")
            return scope
        return replace(scope, each=rows)

    def _sequence(self, node: Node, scope: Scope) -> list[object] | None:
        """Return the numbers of `withSequence`; None where one of its bounds is not known."""
        bounds: dict[str, int] = {}
        for key, given in (node.members or {}).items():
            if key not in {"count", "start", "end"}:
                self.notes.add(given, f"`{key}` does not map: the turns get plain numbers")
                continue
            number = building.whole(self._put_in(given, given.shown(), scope))
            if number is None:
                return None
            bounds[key] = number
        first = bounds.get("start", 0)
        if "end" not in bounds:
            return [*range(first, first + min(bounds.get("count", 0), _SEQUENCE_MAX))]
        step = 1 if bounds["end"] >= first else -1
        return [*range(first, bounds["end"] + step, step)[:_SEQUENCE_MAX]]

    # ------------------------------------------------------------------------ texts

    def _put_in(self, node: Node, text: str, scope: Scope) -> str:
        """Return a text with the values that are known put in, while there is room for them."""
        try:
            self._check_room(text, scope)
        except ValueError as error:
            self.notes.add(node, f"its values are not put in: {error}")
            return text
        return depending.put_in(text, scope.values)

    def _check_room(self, text: str, scope: Scope) -> None:
        names = depending.placeholders(text)
        if not self._room.take(sum(len(scope.values.get(name, "")) for name in names)):
            raise ValueError(f"all texts would grow by over {building.GROWTH_MAX:,} characters")

    # ------------------------------------------------------------------- containers

    def _container(
        self, template: Node, members: Mapping[str, Node], scope: Scope, called: str
    ) -> str:
        is_script = "script" in members
        node = members["script" if is_script else "container"]
        found = self.notes.members(node, "Argo container")
        own = building.name_of(called, [task.name for task in self.tasks])
        task = Task(own, template.place.line, list(scope.after), list(scope.when))
        task.each = scope.each
        if "image" in found:
            task.keys["image"] = self._put_in(found["image"], found["image"].shown(), scope)
        texts = self._texts(node, found, scope, is_script=is_script)
        if texts:
            task.keys["command"] = [text or " " for text in texts]
        self._resources(found.get("resources"), task)
        limit = self.notes.members(members.get("retryStrategy"), "Argo retry").get("limit")
        if limit is not None:
            self._retries(limit, task, scope)
        if scope.join is not None and scope.after:
            task.keys["join"] = scope.join.value
        if scope.each and scope.at_once:
            most = turns.MOST if isinstance(scope.each, Over) else len(scope.each)
            task.keys["at once"] = min(scope.at_once, most)
        task.parameters |= _parameters(scope)
        self.tasks.append(task)
        return own

    def _texts(
        self, node: Node, found: Mapping[str, Node], scope: Scope, *, is_script: bool
    ) -> list[str]:
        """Return the words that a container runs; a script is the last word of its shell."""
        words = [w for key in ("command", "args") for w in _items(found.get(key))]
        texts = [self._put_in(word, word.shown(), scope) for word in words]
        if is_script and "source" in found:
            source = self._put_in(found["source"], found["source"].shown(), scope)
            shell = task_shell(texts)
            texts = [*shell, source]
            if len(shell) < 2:  # noqa: PLR2004 - an interpreter and its option
                self.notes.add(node, "the script's interpreter is not known to take a text")
        for text in texts:
            self._unknown(node, text, scope)
        return texts

    def _unknown(self, node: Node, text: str, scope: Scope) -> None:
        """Note what a command would be told while the workflow runs."""
        is_over = isinstance(scope.each, Over)
        first = {} if scope.each is None or isinstance(scope.each, Over) else scope.each[0]
        for name in depending.placeholders(text):
            if name not in first and not (is_over and name.partition(".")[0] == "item"):
                fix = "read `$BERTH_INPUTS/TASK` (values: outputs.json)"
                self.notes.add(node, f"`{{{{{name}}}}}` is known only while it runs: {fix}")

    def _retries(self, limit: Node, task: Task, scope: Scope) -> None:
        number = building.whole(self._put_in(limit, limit.shown(), scope))
        if number is None or number < 0:
            self.notes.add(limit, f"`{limit.shown()[:60]}` is no count of retries")
        else:
            task.keys["retries"] = min(100, number)

    def _resources(self, node: Node | None, task: Task) -> None:
        limits, requests = _at(node, "limits"), _at(node, "requests")
        for part in (limits, requests):
            for name, value in ((part.members or {}) if part else {}).items():
                if name == "cpu" and (cores := building.cores(value.shown())):
                    task.keys.setdefault("cpu", cores)
                elif name == "memory" and (gib := building.gib(value.shown())):
                    task.keys.setdefault("memory", gib)
                elif name == "ephemeral-storage" and (gib := building.gib(value.shown())):
                    task.keys.setdefault("disk", gib)
                elif name == _GPU and (count := building.whole(value.shown())) is not None:
                    task.keys["gpu"] = {"count": count}
                else:
                    self.notes.add(value, f"the resource `{name}` does not map")


def _parameters(scope: Scope) -> dict[str, Scalar]:
    """Return the inputs of a template whose values are known."""
    start = "inputs.parameters."
    return {
        name.removeprefix(start): building.exact(value)
        for name, value in scope.values.items()
        if name.startswith(start) and "{{" not in value
    }


def task_shell(words: list[str]) -> list[str]:
    """Return an interpreter with the option by which it takes its source as a word."""
    program = words[0].rpartition("/")[2] if words else ""
    if len(words) == 1 and program.startswith(("python", "sh", "bash", "ash", "dash", "zsh")):
        return [words[0], "-c"]
    if len(words) == 1 and program in {"node", "ruby", "perl"}:
        return [words[0], "-e"]
    return words


def _before(node: Node) -> set[str]:
    """Return the tasks beside one that it waits for; words of its `depends` may be no tasks."""
    found = {item.shown() for item in _items(_at(node, "dependencies"))}
    expression = _at(node, "depends")
    return found | (depending.words(expression.shown()) if expression else set())


def _whole(node: Node | None) -> int | None:
    return building.whole(node.shown()) if node is not None else None


def _at(node: Node | None, *keys: str) -> Node | None:
    """Return what stands below some keys, None where one is missing."""
    for key in keys:
        node = (node.members or {}).get(key) if node is not None else None
    return node


def _items(node: Node | None) -> list[Node]:
    return list(node.items or ()) if node is not None else []
