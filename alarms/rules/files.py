"""Reads a file of rules; all its faults are reported at once, each with its place."""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection, Mapping, Sequence

from alarms.rootcause.conversions import Conversion
from alarms.rules import trials
from alarms.rules.model import ALARM_FIELDS, SIGNAL_FIELDS, Rule, RuleSet, Trial, Verb
from engine import expressions
from engine.documents.sources import Node, fault
from engine.documents.yaml_text import parse_yaml
from engine.expressions.conditions import CompiledExpression, compile_expression
from engine.model.alarms import Severity
from engine.model.errors import Fault, InvalidInputError

_VERBS = tuple(verb.value for verb in Verb)
_RULE_KEYS = frozenset({"name", "when", "by", "because", *_VERBS})
_UNIT_KEYS = frozenset({"quantity", "columns", "arrives in", "wanted", "factor", "offset"})
_TRIAL_KEYS = frozenset({"name", "signal", "alarm", "expect"})
NOTHING = "nothing"
"""What a test expects that wants no alarm."""
_SEVERITIES = tuple(severity.value for severity in Severity)


def load_rules(text: str, name: str) -> RuleSet:
    """Return the rules of a YAML text.

    Raises:
        InvalidInputError: with every fault of the text: unknown and missing keys, wrong words,
            conditions that cannot be parsed or read what is not there.
    """
    root, faults = parse_yaml(text, name)
    reader = _Reader(faults)
    found = reader.file(root)
    if reader.faults:
        raise InvalidInputError(name, reader.faults)
    return found


class _Reader:
    """Reads nodes and gathers faults."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = list(faults)

    def file(self, root: Node) -> RuleSet:
        """Return the rules of a document; what has faults is left out."""
        members = self._mapping(root, frozenset({"rules", "units", "tests"}))
        rules = [self._rule(node) for node in self._list(members.get("rules"))]
        units = [self._unit(node) for node in self._list(members.get("units"))]
        tests = [self._trial(node) for node in self._list(members.get("tests"))]
        self._names(members.get("rules"))
        return RuleSet(
            rules=tuple(rule for rule in rules if rule is not None),
            conversions=tuple(unit for unit in units if unit is not None),
            trials=tuple(trial for trial in tests if trial is not None),
        )

    def _trial(self, node: Node) -> Trial | None:
        """Return a test of the file."""
        members = self._mapping(node, _TRIAL_KEYS)
        name, expect = (self._text(node, members, key) for key in ("name", "expect"))
        given = [key for key in ("signal", "alarm") if key in members]
        if len(given) != 1 or expect not in (*_SEVERITIES, NOTHING):
            if node.members is not None and name and expect:
                words = f"one of `signal` and `alarm`, and `expect`: {_listed(_SEVERITIES)}"
                self._add("S019", node, f"a test needs {words} or `{NOTHING}`")
            return None
        fields = SIGNAL_FIELDS if given[0] == "signal" else ALARM_FIELDS
        found = self._mapping(members[given[0]], fields)
        before = len(self.faults)
        values = {key: self._plain(member) for key, member in found.items()}
        if len(self.faults) > before:
            return None
        made = trials.signal_of if given[0] == "signal" else trials.alarm_of
        try:
            return Trial(
                name=name,
                given=made(values),
                expect=None if expect == NOTHING else Severity(expect),
            )
        except ValueError as error:
            self._add("S004", members[given[0]], str(error))
            return None

    def _plain(self, node: Node) -> str | float:
        """Return a value of a test: a text or a finite number."""
        value = node.value
        if isinstance(value, str):
            return value
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            return float(value)
        self._add("S004", node, f"expected a text or a number, found {node.shown()}")
        return ""

    def _add(self, code: str, node: Node, message: str, fix: str = "") -> None:
        self.faults.append(fault(code, node, message, fix=fix))

    def _mapping(self, node: Node, known: Collection[str]) -> Mapping[str, Node]:
        """Return the members of a mapping that are known; the others are faults."""
        members = node.members
        if members is None:
            self._add("S004", node, f"expected a mapping, found {node.shown()}")
            return {}
        for key, member in members.items():
            if key not in known:
                near = tuple(difflib.get_close_matches(key, known, n=3))
                fix = f"did you mean `{near[0]}`?" if near else f"known: {_listed(known)}"
                self.faults.append(
                    fault(
                        "S002",
                        member,
                        f"unknown key `{key}`",
                        fix=fix,
                        candidates=near,
                        at=member.key_place,
                    )
                )
        return {key: member for key, member in members.items() if key in known}

    def _list(self, node: Node | None) -> list[Node]:
        if node is None:
            return []
        if node.items is None:
            self._add("S004", node, f"expected a list, found {node.shown()}")
            return []
        return list(node.items)

    def _text(self, owner: Node, members: Mapping[str, Node], key: str) -> str:
        """Return a text that must be there; "" after a fault."""
        node = members.get(key)
        if node is None:
            if owner.members is not None:
                self._add("S003", owner, f"`{key}` is missing")
            return ""
        if not isinstance(node.value, str) or not node.value.strip():
            self._add("S004", node, f"`{key}` must be a text, found {node.shown()}")
            return ""
        return node.value

    def _names(self, rules: Node | None) -> None:
        """Find names that are used twice."""
        seen: dict[str, Node] = {}
        for node in (rules.items if rules is not None else None) or ():
            named = (node.members or {}).get("name")
            if named is None:
                continue
            if named.shown() in seen:
                line = seen[named.shown()].place.line
                self._add("S008", named, f"a rule of this name stands on line {line}")
            seen.setdefault(named.shown(), named)

    def _rule(self, node: Node) -> Rule | None:
        members = self._mapping(node, _RULE_KEYS)
        name, by, because = (self._text(node, members, key) for key in ("name", "by", "because"))
        verb, severity = self._verb(node, members)
        condition = self._condition(node, members, verb)
        if not (name and by and because) or verb is None or condition is None:
            return None
        return Rule(
            name=name,
            verb=verb,
            severity=severity,
            condition=condition,
            by=by,
            because=because,
        )

    def _verb(self, node: Node, members: Mapping[str, Node]) -> tuple[Verb | None, Severity | None]:
        """Return what a rule does: exactly one verb, with a severity for all but `veto`."""
        given = [Verb(key) for key in _VERBS if key in members]
        if len(given) != 1:
            if node.members is not None:
                found = f"found {_listed(given)}" if given else "found none"
                self._add("S019", node, f"a rule needs one of {_listed(_VERBS)}; {found}")
            return None, None
        verb, value = given[0], members[given[0].value]
        if verb is Verb.VETO:
            if value.value is not True:
                self._add("S005", value, f"`veto` must be true, found {value.shown()}")
                return None, None
            return verb, None
        if value.shown() not in _SEVERITIES:
            near = difflib.get_close_matches(value.shown(), _SEVERITIES, n=1)
            fix = f"did you mean `{near[0]}`?" if near else ""
            message = f"{value.shown()!r} is no severity; there are {_listed(_SEVERITIES)}"
            self._add("S005", value, message, fix)
            return None, None
        return verb, Severity(value.shown())

    def _condition(
        self, node: Node, members: Mapping[str, Node], verb: Verb | None
    ) -> CompiledExpression | None:
        text = self._text(node, members, "when")
        if not text:
            return None
        when = members["when"]
        try:
            reads = expressions.analyse(text).reads
        except expressions.SyntaxFaultError as error:
            message = f"the condition cannot be parsed: {error}"
            at = when.place.within(error.offset, 1)
            fix = error.fix or "for example `signal.value < 0.5`"
            self.faults.append(fault("S013", when, message, at=at, fix=fix))
            return None
        if verb is None:
            return None
        subject = "signal" if verb is Verb.RAISE else "alarm"
        fields = SIGNAL_FIELDS if verb is Verb.RAISE else ALARM_FIELDS
        is_good = True
        for read in reads:
            if read.task == subject and read.output in fields:
                continue
            is_good = False
            near = difflib.get_close_matches(read.output, fields, n=3)
            fix = f"did you mean `{subject}.{near[0]}`?" if near else f"known: {_listed(fields)}"
            written = f"{read.task}.{read.output}" if read.output else read.task
            message = f"`{written}` is unknown; a rule that does this reads `{subject}`"
            at = when.place.within(read.offset, read.length)
            self.faults.append(fault("S015", when, message, fix=fix, candidates=near, at=at))
        return compile_expression(text) if is_good else None

    def _unit(self, node: Node) -> Conversion | None:
        members = self._mapping(node, _UNIT_KEYS)
        before = len(self.faults)
        quantity = self._text(node, members, "quantity")
        arrives_in = self._text(node, members, "arrives in")
        wanted = self._text(node, members, "wanted")
        columns = [item.shown().lower() for item in self._list(members.get("columns"))]
        factor = self._number(node, members, "factor")
        offset = self._number(node, members, "offset") if "offset" in members else 0.0
        if factor == 0:
            self._add("S007", members["factor"], "a factor of 0 makes all values equal")
        if len(self.faults) > before or factor is None or offset is None:
            return None
        return Conversion(
            quantity=quantity,
            arrives_in=arrives_in,
            wanted=wanted,
            factor=factor,
            offset=offset,
            names=tuple(columns),
        )

    def _number(self, owner: Node, members: Mapping[str, Node], key: str) -> float | None:
        node = members.get(key)
        if node is None:
            if owner.members is not None:
                self._add("S003", owner, f"`{key}` is missing")
            return None
        value = node.value
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not math.isfinite(value)
        ):
            self._add("S006", node, f"`{key}` must be a number, found {node.shown()}")
            return None
        return float(value)


def _listed(words: Collection[str]) -> str:
    return ", ".join(f"`{word}`" for word in sorted(words))
