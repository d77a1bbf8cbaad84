"""Spaces, samplers, halving, journals, curves: the parts of a search."""

from __future__ import annotations

import math
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.model.errors import DamagedError, InvalidInputError, NotFoundError
from executors.training.trials import comparing, halving, journal, samplers, spaces
from executors.training.trials.halving import Standing
from executors.training.trials.standing import Records

SPACE = spaces.parse(["lr=0.001..1 log", "hidden=4..8", "kind=a|b"])


def test_a_space_draws_within_its_bounds() -> None:
    generator = np.random.default_rng(0)
    drawn = [spaces.draw(SPACE, generator) for _ in range(300)]
    assert {one["hidden"] for one in drawn} == {4, 5, 6, 7, 8}
    assert {one["kind"] for one in drawn} == {"a", "b"}
    rates = [float(one["lr"]) for one in drawn]
    assert 0.001 <= min(rates) < 0.01
    assert 0.3 < max(rates) <= 1


@pytest.mark.parametrize("text", ["", "lr", "lr=1..x", "lr=0..1 log", "lr=2..1", "a=|", "a=1..2 x"])
def test_a_space_that_is_not_understood_is_named(text: str) -> None:
    with pytest.raises(InvalidInputError, match="space"):
        spaces.parse([text])


def test_random_draws_depend_on_seed_and_number_only() -> None:
    one, other = samplers.sampler("random", SPACE, 1), samplers.sampler("random", SPACE, 2)
    assert one.propose(3, []) == one.propose(3, [samplers.Tried(parameters={}, loss=1.0)])
    assert one.propose(3, []) != other.propose(3, [])


def test_a_sampler_of_optuna_learns_and_repeats_itself() -> None:
    tpe = samplers.sampler("tpe", SPACE, 1)
    tried = [
        samplers.Tried(parameters=p, loss=abs(math.log(float(p["lr"]) / 0.1)))
        for p in (samplers.RandomSampler(SPACE, 5).propose(n, []) for n in range(40))
    ]
    proposed = [tpe.propose(number, tried) for number in range(3)]
    assert proposed == [tpe.propose(number, tried) for number in range(3)]
    assert all(0.01 < float(one["lr"]) < 1 for one in proposed)


def test_an_unknown_sampler_is_refused() -> None:
    with pytest.raises(NotFoundError, match="no sampler 'oracle'"):
        samplers.sampler("oracle", SPACE, 1)


def simulate(
    losses: dict[int, float], *, workers: int, seed: int, eta: int | None
) -> dict[int, int]:
    """Run a whole search with workers that end in any order; return epochs by trial."""
    ladder = halving.rungs(9, eta)
    generator = random.Random(seed)
    there: dict[int, Standing] = {}
    running: list[halving.Job] = []
    for _ in range(10_000):
        while len(running) < workers:
            standings = list(there.values())
            job = halving.next_job(standings, ladder, eta=eta, trials=len(losses))
            if job is None:
                break
            old = there.get(job.number)
            there[job.number] = Standing(
                number=job.number, losses=old.losses if old else {}, goal=job.goal, running=True
            )
            running.append(job)
        if not running:
            return {number: max(one.losses) for number, one in there.items()}
        job = running.pop(generator.randrange(len(running)))
        before = there[job.number].losses
        known = {e: losses[job.number] / e for e in range(1, job.goal + 1)}
        there[job.number] = Standing(number=job.number, losses={**before, **known}, goal=job.goal)
    raise AssertionError("the search never ends")


@given(seed=st.integers(0, 1_000), workers=st.integers(1, 6))
def test_halving_spends_little_and_the_best_runs_to_the_end(seed: int, workers: int) -> None:
    losses = dict(enumerate(random.Random(seed).sample(range(1, 1_000), 27)))
    reached = simulate(losses, workers=workers, seed=seed, eta=3)
    best = min(losses, key=lambda number: losses[number])
    assert reached[best] == 9
    assert len(reached) == 27
    assert sum(reached.values()) <= 75 + 6 * (workers - 1)


def test_one_worker_spends_exactly_what_halving_says() -> None:
    reached = simulate(dict(enumerate(range(1, 28))), workers=1, seed=0, eta=3)
    assert sum(reached.values()) == halving.epochs_of_halving(27, (1, 3, 9), 3) == 63


def test_without_halving_every_trial_runs_to_the_end() -> None:
    reached = simulate({0: 1.0, 1: 2.0}, workers=2, seed=0, eta=None)
    assert reached == {0: 9, 1: 9}


def test_one_trial_alone_goes_to_the_end() -> None:
    assert simulate({0: 1.0}, workers=2, seed=0, eta=3) == {0: 9}


def test_trials_that_are_out_take_no_place() -> None:
    out = [Standing(number=n, losses={}, goal=1, out=True) for n in range(2)]
    good = Standing(number=2, losses={1: 0.5}, goal=1)
    assert halving.next_job([*out, good], (1, 3), eta=3, trials=3) == halving.Job(number=2, goal=3)
    assert halving.best(out) == (-1, math.inf)
    assert halving.best([*out, good]) == (2, 0.5)


def test_a_line_cut_off_by_a_crash_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    book = journal.Journal(path)
    book.append({"event": "a"})
    book.close()
    with path.open("a") as file:
        file.write('{"event": "b"')
    assert journal.read(path) == [{"event": "a"}]
    again = journal.Journal(path)
    again.append({"event": "c"})
    again.close()
    assert [event["event"] for event in journal.read(path)] == ["a", "c"]


def test_a_damaged_journal_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text('{"event": "a"}\nrubbish\n')
    with pytest.raises(DamagedError, match="jsonl':2 is no event"):
        journal.read(path)


def test_epochs_lost_with_a_kill_are_in_the_account() -> None:
    records = Records()
    told = [
        {"event": "proposed", "trial": 0, "parameters": {}},
        {"event": "asked", "trial": 0, "goal": 3, "attempt": 1},
        {"event": "epoch", "trial": 0, "attempt": 1, "epoch": 1, "values": {"loss": 2.0}},
        {"event": "ended", "trial": 0, "attempt": 1, "code": -9, "cpu_seconds": 1.5},
        {"event": "asked", "trial": 0, "goal": 3, "attempt": 2},
        {"event": "epoch", "trial": 0, "attempt": 1, "epoch": 2, "values": {"loss": 9.0}},
        {"event": "epoch", "trial": 0, "attempt": 2, "epoch": 1, "values": {"loss": 2.0}},
    ]
    records.replay(told)
    record = records.trials[0]
    assert (record.epochs_run, record.kills, record.cpu_seconds) == (2, 1, 1.5)
    assert record.loss == 2.0
    assert record.standing().interrupted


def test_a_comparison_shows_curves_over_the_same_time() -> None:
    records = Records()
    records.replay(
        [
            {"event": "proposed", "trial": 0, "parameters": {}},
            {"event": "asked", "trial": 0, "goal": 2, "attempt": 1},
            *(
                {"event": "epoch", "trial": 0, "attempt": 1, "epoch": e, "wall": 10.0 * e}
                | {"values": {"loss": 1.0 / e, "accuracy": 0.5 * e}}
                for e in (1, 2)
            ),
        ]
    )
    text = comparing.comparison({"halving": records, "none": Records()})
    assert "halving       1       2" in text
    assert "0.5000    1.0000" in text
    assert comparing.curve(records, 20.0)[13] == math.inf
    assert comparing.curve(records, 20.0)[14:16] == [1.0, 1.0]
    assert comparing.drawn([math.inf]) == "·"
    assert "    0  1.000 0.500" in comparing.learning_curves(records)
