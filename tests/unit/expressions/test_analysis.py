"""What a condition reads, where, and behind which guard."""

from __future__ import annotations

import pytest

from engine import expressions


def unguarded(expression: str) -> set[str]:
    reads = expressions.analyse(expression).reads
    return {f"{read.task}.{read.output}" for read in reads if not read.guarded}


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("etl.rows > 1000", {("etl", "rows")}),
        ("a.q >= b.q", {("a", "q"), ("b", "q")}),
        ("has(a.q)", {("a", "q")}),
        ("has(a.q.r)", {("a", "q")}),
        ('a["q"] == 1', {("a", "q")}),
        ("a[b.q] == 1", {("a", ""), ("b", "q")}),
        ("size(a) > 1", {("a", "")}),
        ("a.parameters.mode == 'x'", {("a", "parameters.mode")}),
        ("a['parameters']['unit.chol'] == 'x'", {("a", "parameters.unit.chol")}),
        ("has(a.parameters.mode)", {("a", "parameters.mode")}),
        ("'mode' in a.parameters", {("a", "parameters")}),
        ("a.parameters.size() > 1", {("a", "parameters")}),
        ("a.q.parameters == 1", {("a", "q")}),
        ("a.name.startsWith('x')", {("a", "name")}),
        ("a.startsWith('x')", {("a", "")}),
        ("'b.q' == a.q // c.q", {("a", "q")}),
        ("[1, 2].exists(x, x.y == a.q)", {("a", "q")}),
        ("[1, 2].map(x, x * 2)[0] == a.q", {("a", "q")}),
        ("{'k': a.q}.k == 1", {("a", "q")}),
        ("a.q in [1, 0x1F, 1e3, .5]", {("a", "q")}),
        ('r\'\\d\' == """x""" || true', set()),
    ],
)
def test_every_output_that_is_read_is_found(expression: str, found: set[tuple[str, str]]) -> None:
    assert expressions.references(expression) == found


@pytest.mark.parametrize(
    "expression",
    [
        "has(a.q) && a.q > 1",
        "a.q > 1 && has(a.q)",
        "!has(a.q) || a.q > 1",
        "has(a.q) ? a.q > 1 : false",
        "!has(a.q) ? false : a.q > 1",
        "(has(a.q) && has(b.q)) && a.q > b.q",
        "!(!has(a.q)) && a.q > 1",
        "!(!has(a.q) || !has(b.q)) && a.q > b.q",
        "has(a.q) && (b.q > 1 || a.q > 1) && has(b.q)",
        "(has(b.q) ? has(a.q) : has(a.q)) && a.q > 1",
        "has(a.q) && [1].exists(x, x == a.q)",
        "has(a.q) && (a.q > 1 && has(b.q)) && b.q > 1",
        "b.q > 1 && (a.q > 1 && has(b.q)) && has(a.q)",
    ],
)
def test_a_guard_makes_reading_safe(expression: str) -> None:
    assert unguarded(expression) == set()


@pytest.mark.parametrize(
    ("expression", "open_reads"),
    [
        ("has(a.q) || a.q > 1", {"a.q"}),
        ("!has(a.q) && a.q > 1", {"a.q"}),
        ("has(a.q) ? false : a.q > 1", {"a.q"}),
        ("has(a.p) && a.q > 1", {"a.q"}),
        ("has(b.q) && a.q > 1", {"a.q"}),
        ("has(a.q) == false && a.q > 1", {"a.q"}),
        ("(has(a.q) || has(b.q)) && a.q > 1", {"a.q"}),
        ("(has(b.q) ? has(a.q) : true) && a.q > 1", {"a.q"}),
        ("size([has(a.q)]) == 1 && a.q > 1", {"a.q"}),
        ("a.q > 1", {"a.q"}),
        # Two parts that vouch for each other both fail.
        ("(a.q > 1 ? has(b.q) : has(b.q)) && (b.q > 1 ? has(a.q) : has(a.q))", {"a.q", "b.q"}),
        ("!(a.q > 1 ? has(a.q) : has(a.q)) || !(a.q > 1 ? has(a.q) : has(a.q))", {"a.q"}),
    ],
)
def test_what_is_no_guard_does_not_count(expression: str, open_reads: set[str]) -> None:
    assert unguarded(expression) == open_reads


def test_a_read_has_its_place() -> None:
    expression = "x.y > 1 && train.quality > 2"
    read = expressions.analyse(expression).reads[1]
    assert expression[read.offset :][: read.length] == "train.quality"


def test_dashes_are_underscores() -> None:
    assert expressions.variable("package-knn") == "package_knn"


@pytest.mark.parametrize(
    ("expression", "offset", "part"),
    [
        ("a.b +", 4, "mismatched input"),
        ("a.b > 1 &&\n)", 11, "mismatched input ')'"),
        ("package.digest == 'x'", 0, "`package` is a reserved word of CEL"),
        ("", 0, "mismatched input"),
    ],
)
def test_what_does_not_parse_is_placed(expression: str, offset: int, part: str) -> None:
    with pytest.raises(expressions.SyntaxFaultError) as raised:
        expressions.analyse(expression)
    assert raised.value.offset == offset
    assert part in str(raised.value)
