"""What arrays of nodes say is what looking at one node after the other says."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from placement.account.node_views import NodesView
from placement.problem.instance import Span
from placement.search.timeline import Timeline

CAPACITY = (4, 8)
LATEST_MS = 200

amounts = st.tuples(st.integers(0, 4), st.integers(0, 8))
spans = st.builds(
    lambda start, length, taken: Span(start_ms=start, end_ms=start + length, amounts=taken),
    st.integers(0, 60),
    st.integers(1, 40),
    amounts,
)


@dataclass(frozen=True)
class Pool:
    held: list[list[Span]]
    fresh: int

    @property
    def lines(self) -> list[Timeline]:
        return [Timeline(CAPACITY, held) for held in self.held]

    @property
    def view(self) -> NodesView:
        return NodesView.of(self.lines, self.fresh, CAPACITY)

    def free_at(self, span: Span) -> int:
        return self.fresh + sum(line.conflict(span) is None for line in self.lines)


pools = st.builds(Pool, st.lists(st.lists(spans, max_size=5), max_size=4), st.integers(0, 2))


@settings(max_examples=40)
@given(pools, spans, st.integers(1, 4))
def test_the_first_room_is_the_first_time_at_which_enough_nodes_had_or_have_it(
    pool: Pool, span: Span, count: int
) -> None:
    length = span.end_ms - span.start_ms
    since: list[int] = [span.start_ms] * pool.fresh
    for line in pool.lines:
        since += [
            next(
                time
                for time in range(span.start_ms, LATEST_MS)
                if line.conflict(Span(start_ms=time, end_ms=time + length, amounts=span.amounts))
                is None
            )
        ]
    slow = sorted(since)[count - 1] if len(since) >= count else None
    assert pool.view.first_room(span.start_ms, length, span.amounts, count) == slow


@given(pools, spans)
def test_nodes_that_are_free_are_counted(pool: Pool, span: Span) -> None:
    assert pool.view.count_free(span.start_ms, span.end_ms, span.amounts) == pool.free_at(span)


@given(pools, spans)
def test_the_nearest_node_is_the_one_that_lacks_least(pool: Pool, span: Span) -> None:
    lacks: list[float] = []
    for line in pool.lines:
        free = line.free(span.start_ms, span.end_ms)
        short = [(n - f) / max(f, 1) for n, f in zip(span.amounts, free, strict=True) if n > f]
        lacks += [max(short)] if short else []
    used = pool.view.nearest(span)
    assert (used is None) == (not lacks)
    if used is not None:
        left = [max(c - u, 0) for c, u in zip(CAPACITY, used, strict=True)]
        rows = zip(span.amounts, left, strict=True)
        found = max((n - f) / max(f, 1) for n, f in rows if n > f)
        assert found == min(lacks)


@given(pools, st.data())
def test_what_is_given_back_is_gone_from_the_view(pool: Pool, data: st.DataObject) -> None:
    taken = [(node, span) for node, held in enumerate(pool.held) for span in held]
    if not taken:
        return
    node, span = data.draw(st.sampled_from(taken))
    left = pool.view.without([node], [span])
    pool.held[node].remove(span)
    wanted = data.draw(spans)
    length = wanted.end_ms - wanted.start_ms
    slow = pool.view.first_room(wanted.start_ms, length, wanted.amounts, 1)
    assert left.first_room(wanted.start_ms, length, wanted.amounts, 1) == slow
