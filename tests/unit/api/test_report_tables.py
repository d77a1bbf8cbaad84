from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from api.report import phrases, tables, words
from api.report.tables import Column, Style
from engine.model.plans import Limit, Refusal

COLUMNS = (
    Column(title="NAME"),
    Column(title="COST", right=True),
    Column(title="EXTRA", rank=2),
    Column(title="WHY", rank=1),
)


def test_numbers_stand_at_the_right() -> None:
    text = tables.table(COLUMNS, [("a", "$1"), ("b", "$10")])
    assert text.splitlines()[2:] == ["a        $1", "b       $10"]


def test_optional_columns_without_a_word_are_left_out() -> None:
    assert "EXTRA" not in tables.table(COLUMNS, [("a", "1", "", "because")])


def test_optional_columns_go_when_there_is_no_room_the_highest_rank_first() -> None:
    text = tables.table(COLUMNS, [("a" * 60, "1", "b" * 40, "because")])
    assert "EXTRA" not in text
    assert "because" in text


def test_names_are_never_cut() -> None:
    name = "a" * 140
    assert name in tables.table(COLUMNS, [(name, "1", "x", "y")])


def test_without_a_terminal_cells_are_separated_by_tabs_and_uncut() -> None:
    text = tables.table(COLUMNS, [("a" * 140, "1", "x\ty", "z")], Style(tabs=True))
    assert text.splitlines()[1] == "a" * 140 + "\t1\tx y\tz"


@given(
    st.lists(
        st.tuples(*[st.text(st.characters(codec="ascii"), max_size=24)] * 4), min_size=1, max_size=5
    )
)
def test_a_table_fits_100_columns_and_is_safe_to_print(rows: list[tuple[str, ...]]) -> None:
    for line in tables.table(COLUMNS, rows).splitlines():
        assert len(line) <= 100 or max(len(phrases.printable(c)) for r in rows for c in r) > 20
        assert line.isprintable()


def test_following_commands_wrap_at_100_columns() -> None:
    text = tables.following("a" * 50, "b" * 50, "c")
    assert text.splitlines() == ["Next:  " + "a" * 50, " " * 7 + "b" * 50 + "    c"]


def test_times_name_their_day_only_when_it_is_another_one() -> None:
    noon = 1_795_348_800.0
    assert phrases.clock(noon, near=noon) == "12:00"
    assert phrases.clock(noon + 86_400, near=noon) == "Mon 12:00"
    assert phrases.clock(noon + 30 * 86_400, near=noon) == "2026-12-22 12:00"
    assert phrases.clock(noon, near=noon, zone="Europe/Paris", seconds=True) == "13:00:00"


def test_ages_are_told_in_one_unit() -> None:
    assert [phrases.age(s) for s in (-1, 5, 90, 7_300, 200_000)] == [
        "0 s",
        "5 s",
        "1 min",
        "2 h",
        "2 d",
    ]


def test_brief_durations_drop_what_does_not_matter() -> None:
    told = [phrases.brief(s) for s in (None, 5.0, 125.0, 1_799.0, 28_500.0)]
    assert told == [words.NOTHING, "5.0 s", "2 min 5 s", "30 min", "7 h 55"]


def test_parameters_are_told_as_a_command_line_sets_them() -> None:
    assert phrases.set_to({"etl.unit.chol": "mmol/L", "trials": 4}) == (
        "etl.unit.chol=mmol/L, trials=4"
    )


def test_small_amounts_are_told_in_smaller_units() -> None:
    told = [words.readable(0.167, "GiB"), words.readable(0.00229, "Mbit/s")]
    assert told == ["171 MiB", "2.29 kbit/s"]
    kept = [words.readable(1.5, "GiB"), words.readable(0.25, "cores"), words.readable(0.0, "GiB")]
    assert kept == ["1.5 GiB", "0.25 cores", "0 GiB"]
    assert words.readable(None, "GiB") == words.NOTHING


def test_a_refusal_names_needs_and_has_with_the_unit_once() -> None:
    memory = Refusal(limit=Limit.GPU_MEMORY, needs=71.0, has=40.0, unit="GiB")
    assert phrases.refusal(memory) == "gpu memory: needs 71 GiB, has 40"
    region = Refusal(limit=Limit.REGION, needs="eu", has="us-east-1")
    assert phrases.refusal(region) == "region: needs eu, has us-east-1"
    gone = Refusal(limit=Limit.UNREACHABLE, needs="", has="")
    assert phrases.refusal(gone) == "unreachable: it does not answer"
    budget = Refusal(limit=Limit.BUDGET, needs=2e6, has=1e6, unit="micro-dollars")
    assert phrases.refusal(budget) == "budget: needs $2.00, has $1.00"
    late = Refusal(limit=Limit.DEADLINE, needs=90.0, has=30.0, unit="seconds")
    assert phrases.refusal(late) == "deadline: needs 1 min 30 s, has 30 s"
