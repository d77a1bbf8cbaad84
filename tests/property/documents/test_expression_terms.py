"""Our reading of an expression agrees with the library's own."""

from __future__ import annotations

import cel
import hypothesis
from hypothesis import strategies as st

from engine import expressions
from engine.model.errors import FinalError

leaves = st.sampled_from(
    ["a.x > 1", "b.y == 'q'", "has(a.x)", "has(c.z)", "true", "size([a.x, 2]) > 1", "c.z < 3.5"]
)
boolean = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["&&", "||"]), inner).map(lambda p: f"({' '.join(p)})"),
        inner.map(lambda e: f"!({e})"),
        st.tuples(inner, inner, inner).map(lambda p: f"({p[0]} ? {p[1]} : {p[2]})"),
    ),
    max_leaves=6,
)
outputs = st.fixed_dictionaries(
    {}, optional={"x": st.just(2), "y": st.just("q"), "z": st.just(1.5)}
)


@hypothesis.given(boolean)
def test_the_same_variables_are_found(expression: str) -> None:
    found = {task for task, _ in expressions.references(expression)}
    assert found == set(cel.compile(expression).variables())


@hypothesis.given(boolean, outputs, outputs, outputs)
def test_what_counts_as_guarded_never_fails(
    expression: str, a: dict[str, object], b: dict[str, object], c: dict[str, object]
) -> None:
    values: dict[str, object] = {"a": a, "b": b, "c": c}
    reads = expressions.analyse(expression).reads
    present = {(task, key) for task, has in zip("abc", (a, b, c), strict=True) for key in has}
    hypothesis.assume(all(r.guarded or (r.task, r.output) in present for r in reads))
    try:
        expressions.CelConditions().holds(expression, values)
    except FinalError as error:
        raise AssertionError(f"{expression} failed on {values}") from error
