"""Races over folds, choices among families, honest estimates."""

from __future__ import annotations

import numpy as np
import pytest

from executors.training import families, nested, racing, search
from executors.training.racing import Course, Rules, Trial


def course(rows: int = 120, seed: int = 0) -> Course:
    generator = np.random.default_rng(seed)
    table = generator.standard_normal((rows, 4))
    labels = (table[:, 0] + 0.5 * generator.standard_normal(rows) > 0).astype(np.int64)
    folds = search.assign_folds(labels, seed=seed)
    return Course(rows=table, labels=labels, folds=folds, seed=seed)


def trial(number: int, right: int, *, loss: float, operations: float) -> Trial:
    rows = np.arange(20)
    return Trial(
        number=number,
        configuration={},
        seen=np.ones(20, dtype=np.bool_),
        right=rows < right,
        losses=(loss,),
        precisions=(1.0,),
        operations=operations,
        probable=True,
    )


def test_a_race_runs_fewer_folds_than_the_grid_and_finishes_the_best() -> None:
    family = families.family("knn")
    trials = racing.race(family, family.grid(), course(), rules=Rules())
    finished = [one for one in trials if one.finished]
    assert len(trials) == 30
    assert len(finished) == 3
    assert sum(len(one.losses) for one in trials) < 0.4 * 30 * racing.FOLDS
    first = course().folds == 0
    best_there = max(one.right[first].mean() for one in trials)
    assert max(one.right[first].mean() for one in finished) == best_there


def test_two_candidates_are_no_race() -> None:
    family = families.family("tree")
    trials = racing.race(family, family.configurations(2, 0), course(), rules=Rules())
    assert all(one.finished and len(one.losses) == racing.FOLDS for one in trials)


def test_a_finished_forest_ran_every_fold_with_all_its_trees() -> None:
    family = families.family("forest")
    three = [{"n_estimators": 30, "max_depth": depth} for depth in (1, 2, 3)]
    trials = racing.race(family, three, course(), rules=Rules())
    assert [len(one.losses) for one in trials if one.finished] == [racing.FOLDS] * 2
    assert [len(one.losses) for one in trials if not one.finished] == [0]


def test_thinning_keeps_what_the_configuration_is_about() -> None:
    forest = families.family("forest").thinned({"n_estimators": 60, "max_depth": 5})
    boosting = families.family("boosting").thinned({"n_estimators": 80, "learning_rate": 0.1})
    assert forest == {"n_estimators": 20, "max_depth": 5}
    assert boosting == {"n_estimators": 40, "learning_rate": 0.2}
    assert families.family("svm").thinned({"C": 1.0}) == {"C": 1.0}


def test_of_equals_the_cheapest_to_serve_is_chosen() -> None:
    dear, cheap = trial(0, 15, loss=0.3, operations=900), trial(1, 15, loss=0.3, operations=9)
    assert search.best_of([dear, cheap, trial(2, 14, loss=0.1, operations=1)]) == [cheap, dear]


def test_one_with_a_clearly_higher_loss_is_no_equal() -> None:
    sure, lucky = trial(0, 15, loss=0.3, operations=900), trial(1, 15, loss=0.5, operations=9)
    assert search.best_of([sure, lucky]) == [sure]


@pytest.mark.parametrize("name", list(families.FAMILIES))
def test_every_family_says_what_a_prediction_takes(name: str) -> None:
    found = families.family(name)
    model = found.build(found.grid()[0], 0).fit(course().rows, course().labels)
    assert 0 < found.operations(model, 4) < 10_000


def test_the_estimate_after_a_race_of_coins_is_honest() -> None:
    generator = np.random.default_rng(0)
    found = []
    for seed in range(25):
        labels = generator.integers(0, 2, 200)
        rows = generator.standard_normal((200, 3))
        folds = search.assign_folds(labels, seed=seed)
        track = Course(rows=rows, labels=labels, folds=folds, seed=seed)
        family = families.family("tree")
        found.append(search.search(family, family.grid()[::2], track).quality)
    assert np.mean(found) == pytest.approx(0.5, abs=0.03)


def test_a_choice_among_families_holds_every_outcome() -> None:
    some = {name: families.family(name) for name in ("tree", "logistic")}
    spaces = {name: family.configurations(4, 0) for name, family in some.items()}
    choice = search.choose(some, spaces, course())
    assert set(choice.outcomes) == {"tree", "logistic"}
    assert choice.family in choice.tied
    assert choice.outcome.best.score == max(o.best.score for o in choice.outcomes.values())


def test_nested_validation_never_shows_the_outer_fold_to_the_choice() -> None:
    track = course(60)
    seen: list[int] = []

    def choose(rows: np.ndarray, labels: np.ndarray, seed: int) -> tuple[str, families.Classifier]:
        seen.append(len(rows))
        family = families.family("tree")
        return "tree", family.build({"max_depth": 1}, seed).fit(rows, labels)

    found = nested.estimate(track.rows, track.labels, choose, repeats=2)
    assert seen == [30] * 4
    assert len(found.qualities) == 4
    assert 0.6 < found.quality <= 1.0
    assert found.spread > 0
