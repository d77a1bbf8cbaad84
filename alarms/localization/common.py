"""What is common to all that is wrong: a scan over combinations of attributes.

Rows count trials and how many went wrong (viewers and stalled viewers, requests and errors), by
attributes such as provider, region or device. Every combination of up to three attributes is
compared with its own past by Kulldorff's scan statistic (Communications in Statistics 1997), for
Poisson counts. Ranking by that alone prefers a small corner where the rate rose most to the whole
that rose; so the statistic is multiplied by the surplus that the combination explains.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.model.errors import Fault, InvalidInputError

Numbers = NDArray[np.float64]
Codes = NDArray[np.int64]

ATTRIBUTES_MOST = 3
PRIOR_TRIALS = 20.0
"""The past rate of all rows counts as much as so many trials of a combination."""
MEDIAN_LEAST = 30.0
"""With so many cases in the past the median over instants is used, which an earlier incident
does not move; with fewer it would mostly be zero."""
BELIEF_POWER = 10.0
"""Shares of belief go with this power of the score."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Counts by attributes and time.

    Attributes:
        attributes: A column of values for each attribute, shape (rows).
        at: Time of each row, in seconds, shape (rows).
        cases: How many went wrong, shape (rows).
        trials: Of how many, shape (rows).
    """

    attributes: Mapping[str, Sequence[str]]
    at: Numbers
    cases: Numbers
    trials: Numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class Combination:
    """A combination of attributes that more went wrong with than usual.

    Attributes:
        attributes: Value of each attribute it fixes.
        cases, trials: Now.
        expected: Cases there would be at the rate of the past.
        statistic: Log-likelihood ratio of the rise, in nats.
        p_value: Bound on the chance that any of all combinations rises so far.
        belief: Its share.
    """

    attributes: Mapping[str, str]
    cases: float
    trials: float
    expected: float
    statistic: float
    p_value: float
    belief: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scanned:
    """One set of attributes: a number for each combination, with counts, shape (combinations)."""

    names: tuple[str, ...]
    example: Codes
    cases: Numbers
    trials: Numbers
    expected: Numbers


def common(table: Table, at: float, *, most: int = 5) -> list[Combination]:
    """Return what rose most at a time, the likeliest first; empty where nothing did.

    Args:
        table: Counts up to and at the time; what is later is not looked at.
        at: The time of the alarm.
        most: How many to return.

    Raises:
        InvalidInputError: Columns differ in length, or a count is negative or not finite.
    """
    _check(table)
    found: list[tuple[float, int, float, tuple[tuple[str, str], ...], Numbers]] = []
    scanned = list(_scan(table, at))
    combinations = sum(len(one.example) for one in scanned)
    for one in scanned:
        surplus = one.cases - one.expected
        rising = np.flatnonzero(surplus > 0)
        for index in rising:
            cases, expected = float(one.cases[index]), float(one.expected[index])
            statistic = cases * math.log(cases / expected) - (cases - expected)
            row = int(one.example[index])
            values = tuple((name, str(table.attributes[name][row])) for name in one.names)
            counts = np.array([cases, one.trials[index], expected, statistic])
            score = (cases - expected) * statistic
            found.append((-round(score, 9), len(values), -statistic, values, counts))
    found.sort(key=lambda item: item[:4])
    beliefs = _beliefs([-item[0] for item in found])
    return [
        Combination(
            attributes=dict(values),
            cases=float(counts[0]),
            trials=float(counts[1]),
            expected=float(counts[2]),
            statistic=float(counts[3]),
            p_value=min(1.0, combinations * math.exp(-min(float(counts[3]), 700.0))),
            belief=belief,
        )
        for (_, _, _, values, counts), belief in zip(found[:most], beliefs, strict=False)
    ]


def _scan(table: Table, at: float) -> Iterator[_Scanned]:
    """Yield counts now and expected for every combination, one set of attributes at a time."""
    now = table.at == at
    before = table.at < at
    instants, when = np.unique(table.at[before], return_inverse=True)
    # Without a past, what goes wrong elsewhere at the same time is what is usual.
    usual = before if before.any() else now
    overall = float((table.cases[usual].sum() + 0.5) / (table.trials[usual].sum() + 1.0))
    codes = {
        name: np.unique(np.asarray(column, dtype=str), return_inverse=True)[1]
        for name, column in table.attributes.items()
    }
    for size in range(1, min(ATTRIBUTES_MOST, len(codes)) + 1):
        for names in itertools.combinations(sorted(codes), size):
            key = np.zeros(len(table.at), dtype=np.int64)
            for name in names:
                key = key * (int(codes[name].max()) + 1) + codes[name]
            _, example, group = np.unique(key, return_index=True, return_inverse=True)
            count = len(example)
            cases = _sums(group[now], table.cases[now], count)
            trials = _sums(group[now], table.trials[now], count)
            shape = (count, len(instants))
            cell = group[before] * len(instants) + when
            past_cases = _sums(cell, table.cases[before], count * len(instants))
            past_trials = _sums(cell, table.trials[before], count * len(instants))
            rate = _past_rate(past_cases.reshape(shape), past_trials.reshape(shape), overall)
            yield _Scanned(
                names=names, example=example, cases=cases, trials=trials, expected=trials * rate
            )


def _sums(index: Codes, counts: Numbers, length: int) -> Numbers:
    """Return the sum of counts for each index."""
    return np.bincount(index, counts, length).astype(np.float64)


def _past_rate(cases: Numbers, trials: Numbers, overall: float) -> Numbers:
    """Return the past rate of each combination; inputs have shape (combinations, instants)."""
    total = trials.sum(axis=1)
    mean = cases.sum(axis=1) / np.maximum(total, 1.0)
    usual = cases.sum(axis=1)
    if cases.shape[1]:
        rates = np.where(trials > 0, cases / np.maximum(trials, 1.0), mean[:, None])
        usual = np.where(usual > MEDIAN_LEAST, np.median(rates, axis=1) * total, usual)
    rate: Numbers = (usual + overall * PRIOR_TRIALS) / (total + PRIOR_TRIALS)
    return rate


def _beliefs(scores: Sequence[float]) -> list[float]:
    if not scores:
        return []
    most = max(scores)
    odds = [(score / most) ** BELIEF_POWER if most > 0 else 1.0 for score in scores]
    total = math.fsum(odds)
    return [each / total for each in odds]


def _check(table: Table) -> None:
    rows = len(table.at)
    faults = [
        Fault(
            code="A002",
            message=f"the column {name!r} has {len(column)} rows instead of {rows}",
            fix="give every column one value a row",
        )
        for name, column in (
            *table.attributes.items(),
            ("cases", table.cases),
            ("trials", table.trials),
        )
        if len(column) != rows
    ]
    for name, counts in (("cases", table.cases), ("trials", table.trials)):
        wrong = np.flatnonzero(~(np.isfinite(counts) & (counts >= 0)))
        if len(wrong):
            faults.append(
                Fault(
                    code="A003",
                    message=f"{name} of row {wrong[0]} are {counts[wrong[0]]!r}",
                    fix="counts are finite and not negative",
                )
            )
    if faults:
        raise InvalidInputError("counts by attributes", faults)
