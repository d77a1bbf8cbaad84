"""The pieces that pages are made of."""

import pytest

from api.web import cells

AT = 1_790_000_000.0


@pytest.mark.parametrize(
    ("later", "text", "note"),
    [
        (90.0, "14:13:20", "1 min ago"),
        (-90.0, "14:13:20", "in 1 min"),
        (172_800.0, "2026-09-21 14:13:20", "2 d ago"),
    ],
)
def test_a_moment_is_told_both_ways(later: float, text: str, note: str) -> None:
    told = cells.moment(AT, AT + later)
    assert (told.text, told.note, told.at) == (text, note, "2026-09-21T14:13:20Z")


def test_what_has_no_time_place_or_page_is_a_dash() -> None:
    told = (cells.moment(None, AT).text, cells.place(None, None), cells.link(None, "/x").text)
    assert told == ("\u2013",) * 3
