"""Matchers of alarms as people write them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from engine.model.errors import Fault, InvalidInputError
from engine.model.feedback import Matcher

_FORM = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_.-]*)\s*(=~|!~|!=|=)\s*(.*)", re.DOTALL)
_MOST = 20
_CHARACTERS_MOST = 300
_REPEATED = re.compile(r"[*+}]\)?[*+{]|\)[*+{].*\)[*+{]")
"""A repetition of a repetition, which can take for ever."""


def matchers(texts: Sequence[str]) -> tuple[Matcher, ...]:
    """Return matchers written as `NAME=VALUE`, `!=`, `=~` or `!~`; quotes around values go.

    Raises:
        InvalidInputError: with every fault: none given, a form that is unknown, a pattern that
            cannot be read or may take for ever.
    """
    faults: list[Fault] = []
    found: list[Matcher] = []
    if not texts or len(texts) > _MOST:
        message = f"{len(texts)} matchers were given; from 1 to {_MOST} are needed"
        faults.append(Fault(code="S003", message=message, fix="write `signal=rows`"))
    for text in texts[:_MOST]:
        matcher = _matcher(text, faults)
        if matcher is not None:
            found.append(matcher)
    if faults:
        raise InvalidInputError("the matchers", faults)
    return tuple(found)


def _matcher(text: str, faults: list[Fault]) -> Matcher | None:
    form = _FORM.fullmatch(text)
    if form is None or len(text) > _CHARACTERS_MOST:
        fix = "write `signal=rows`, `cluster!=eu-1`, `subject=~model:.*` or `severity!~info`"
        message = f"{text[:_CHARACTERS_MOST]!r} is no matcher"
        faults.append(Fault(code="S006", message=message, fix=fix))
        return None
    name, sign, value = form[1], form[2], _unquoted(form[3].strip())
    if sign.endswith("~"):
        try:
            re.compile(value)
        except re.error as error:
            message = f"{value!r} is no regular expression: {error}"
            faults.append(Fault(code="S006", message=message))
            return None
        if _REPEATED.search(value):
            message = f"{value!r} repeats a repetition, which may take for ever"
            faults.append(Fault(code="S006", message=message, fix="repeat once"))
            return None
    return Matcher(
        name=name, value=value, is_equal=not sign.startswith("!"), is_pattern=sign.endswith("~")
    )


def _unquoted(value: str) -> str:
    is_quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
    return value[1:-1] if is_quoted else value
