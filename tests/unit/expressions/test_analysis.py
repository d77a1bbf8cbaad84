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
    ("expression", "offset", "says"),
    [
        ("a.b +", 4, "it ends where more is expected"),
        ("a.b > 1 &&\n)", 11, "`)` is not expected here"),
        ("a b", 2, "`b` is not expected here"),
        ("a.[", 2, "`.[` is not expected here"),
        ("(a.b > 1", 7, "`)` is missing"),
        ("a.b == #", 7, "`#` is not understood"),
        ("a ? b", 0, "a part of it is missing"),
        ("has(a)", 4, "invalid argument to has() macro"),
        ("package.digest == 'x'", 0, "`package` is a reserved word of CEL"),
        ("", 0, "it ends where more is expected"),
    ],
)
def test_what_does_not_parse_is_placed_and_told_in_words(
    expression: str, offset: int, says: str
) -> None:
    with pytest.raises(expressions.SyntaxFaultError) as raised:
        expressions.analyse(expression)
    assert (raised.value.offset, str(raised.value)) == (offset, says)


@pytest.mark.parametrize(
    ("expression", "fix"),
    [
        ("a.b > 1 and c.d", "write `&&`"),
        ("a.b > 1 or c.d", "write `||`"),
        ("a.b = 1", "write `==`"),
        ("a.b > 1 c.d", ""),
    ],
)
def test_what_other_languages_write_is_told_as_this_one_does(expression: str, fix: str) -> None:
    with pytest.raises(expressions.SyntaxFaultError) as raised:
        expressions.analyse(expression)
    assert raised.value.fix == fix
