"""Argo's small languages: `depends`, `when`, and `{{placeholders}}`, as CEL and names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine.documents.foreign.building import literal, scalar
from engine.model.specs import Join

_PLACEHOLDER = re.compile(r"\{\{([^{}]*)\}\}")
_CONDITION_LENGTH_MAX = 100_000
"""Characters of what a `depends` becomes; far more than a condition of ours may have."""
_DEPENDS = re.compile(r"\s*(&&|\|\||!|\(|\)|[A-Za-z0-9][\w-]*(?:\.[A-Za-z]+)?)")
_WHEN = re.compile(
    r"""\s*(?P<sign>&&|\|\||==|!=|>=|<=|=~|!~|[<>!(),+*/%-])
      | \s*(?P<string>"[^"]*"|'[^']*')
      | \s*(?P<word>[^\s&|=!<>(),"'+*/%]+)""",
    re.VERBOSE,
)
_STATES = {
    "Succeeded": "succeeded",
    "Failed": "failed",
    "Errored": "failed",
    "Skipped": "skipped",
    "Omitted": "skipped",
    "Daemoned": "running",
}
_MANY = {"AnySucceeded": ("||", "succeeded"), "AllFailed": ("&&", "failed")}


@dataclass(frozen=True, slots=True)
class Order:
    """What a `depends` becomes: `when` is "" where `after` and `join` say it all."""

    after: tuple[str, ...]
    when: str = ""
    join: Join | None = None


def placeholders(text: str) -> list[str]:
    """Return the names between double braces."""
    return [name.strip() for name in _PLACEHOLDER.findall(text)]


def put_in(text: str, values: Mapping[str, str]) -> str:
    """Return a text with the values that are known put in; others stay."""
    return _PLACEHOLDER.sub(lambda found: values.get(found[1].strip(), found[0]), text)


def words(expression: str) -> set[str]:
    """Return the tasks that a `depends` names."""
    found = {token.partition(".")[0] for token in _DEPENDS.findall(expression)}
    return found - {"&&", "||", "!", "(", ")"}


def variable(task: str) -> str:
    """Return how conditions name a task."""
    return task.replace("-", "_")


def depends(expression: str, ends: Mapping[str, Sequence[str]]) -> Order:
    """Read a `depends`. `ends` are our tasks for each of Argo's.

    Raises:
        ValueError: when it names what is not known.
    """
    tokens = _tokens(expression)
    names: dict[str, None] = {}
    signs = {token for token in tokens if token in {"||", "!"}}
    plain = True
    for token in tokens:
        if token in {"&&", "||", "!", "(", ")"}:
            continue
        name, _, state = token.partition(".")
        if name not in ends:
            raise ValueError(f"`{name}` is no task before it")
        names[name] = None
        plain = plain and state in {"", "Succeeded"}
    after = tuple(one for name in names for one in ends[name])
    if plain and not signs:
        return Order(after)
    if plain and signs == {"||"} and "&&" not in tokens:
        return Order(after, join=Join.ANY)
    return Order(after, when=_states(tokens, ends))


def _tokens(expression: str) -> list[str]:
    found: list[str] = []
    position, end = 0, len(expression.rstrip())
    while position < end:
        match = _DEPENDS.match(expression, position)
        if match is None:
            raise ValueError(f"{expression[position:][:40]!r} is not read")
        found.append(match[1])
        position = match.end()
    return found


def _states(tokens: Sequence[str], ends: Mapping[str, Sequence[str]]) -> str:
    parts: list[str] = []
    length = 0
    for token in tokens:
        parts.append(_state(token, ends))
        length += len(parts[-1])
        if length > _CONDITION_LENGTH_MAX:
            raise ValueError(f"it makes a condition of over {_CONDITION_LENGTH_MAX:,} characters")
    return "".join(parts)


def _state(token: str, ends: Mapping[str, Sequence[str]]) -> str:
    if token in {"&&", "||"}:
        return f" {token} "
    if token in {"!", "(", ")"}:
        return token
    name, _, state = token.partition(".")
    joiner, wanted = _MANY.get(state, ("&&", _STATES.get(state or "Succeeded", "")))
    if not wanted:
        raise ValueError(f"the state `{state}` is not known")
    parts = [f'{variable(one)}.state == "{wanted}"' for one in ends[name]]
    return f"({f' {joiner} '.join(parts)})" if parts else "true"


def output_of(text: str, ends: Mapping[str, Sequence[str]], word: str) -> tuple[str, str] | None:
    """Return our task and its output where a text is nothing but an output; else None."""
    found = _PLACEHOLDER.fullmatch(text.strip())
    parts = found[1].strip().split(".") if found is not None else []
    if len(parts) < 4 or parts[0] != word or parts[2] != "outputs":  # noqa: PLR2004
        return None
    ours = ends.get(parts[1], ())
    return (ours[0], re.sub(r"[^A-Za-z0-9_]", "_", parts[-1])) if len(ours) == 1 else None


def condition(
    text: str, values: Mapping[str, str], ends: Mapping[str, Sequence[str]], word: str
) -> tuple[str, list[str]]:
    """Read a `when` as CEL; return it with our tasks that it reads.

    word: `tasks` or `steps`, by which outputs of others are named.

    Raises:
        ValueError: when it holds what does not map.
    """
    reads: list[str] = []

    def put(found: re.Match[str]) -> str:
        name = found[1].strip()
        if name in values:
            return _plain(values[name])
        parts = name.split(".")
        if len(parts) < 4 or parts[0] != word or parts[2] != "outputs":  # noqa: PLR2004
            raise ValueError(f"`{name}` is not known before it runs")
        ours = ends.get(parts[1], ())
        if len(ours) != 1:
            raise ValueError(f"`{parts[1]}` is no single task before it")
        reads.append(ours[0])
        return f"\x00{variable(ours[0])}.{re.sub(r'[^A-Za-z0-9_]', '_', parts[-1])}"

    shown = _PLACEHOLDER.sub(put, _plain(text))
    cel: list[str] = []
    position, end = 0, len(shown.rstrip())
    while position < end:
        match = _WHEN.match(shown, position)
        if match is None or match["sign"] in {"=~", "!~"}:
            raise ValueError(f"{shown[position:][:40]!r} is not read")
        cel.append(_cel(match))
        position = match.end()
    guards = [f"has({name[1:]})" for name in dict.fromkeys(re.findall(r"\x00[\w.]+", shown))]
    whole = _listed(" ".join(cel))
    return (" && ".join([*guards, f"({whole})"]) if guards else whole), reads


def _plain(text: str) -> str:
    """Return a text that holds no mark of ours."""
    if "\x00" in text:
        raise ValueError("it holds a NUL character, which no condition has")
    return text


def _cel(match: re.Match[str]) -> str:
    if match["sign"]:
        return match["sign"]
    if match["string"]:
        inner = match["string"][1:-1]
        return inner[1:] if inner.startswith("\x00") else literal(inner)
    found = match["word"]
    if found.startswith("\x00"):
        return found[1:]
    return "in" if found == "in" else literal(scalar(found))


def _listed(text: str) -> str:
    """Return `x in ( a , b )` as `x in [a, b]`."""
    return re.sub(r"\bin \( ([^()]*) \)", r"in [\1]", text)
