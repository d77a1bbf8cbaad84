"""Reads instances and assignments in the text format of the ROADEF/EURO challenge 2012.

Both are numbers between white space; `instance` describes what they mean.
"""

from __future__ import annotations

import warnings

import numpy as np

from engine.model import errors
from placement.reassignment import instance as problem


def read_instance(text: str, *, name: str = "instance") -> problem.Instance:
    """Returns the instance that the text describes.

    Args:
        text: Resources, machines, services, processes, balances and weights, in this order.
        name: What error messages call the text.

    Raises:
        InvalidInputError: The text is cut short or holds what is not a whole number.
    """
    numbers = _Numbers(text, name)
    resources = numbers.rows(numbers.count(), 2)
    amount = len(resources)
    machines = numbers.count()
    rows = numbers.rows(machines, 2 + 2 * amount + machines)
    spread, dependencies = _services(numbers)
    processes = numbers.rows(numbers.count(), amount + 2)
    balances = numbers.rows(numbers.count(), 4)
    weights = numbers.take(3)
    numbers.end()
    return problem.Instance(
        capacity=rows[:, 2 : 2 + amount].copy(),
        safety_capacity=rows[:, 2 + amount : 2 + 2 * amount].copy(),
        transient=resources[:, 0] != 0,
        load_weight=resources[:, 1].copy(),
        neighbourhood=rows[:, 0].copy(),
        location=rows[:, 1].copy(),
        machine_move_cost=rows[:, 2 + 2 * amount :].astype(np.int32),
        service=processes[:, 0].copy(),
        requirement=processes[:, 1:-1].copy(),
        process_move_cost=processes[:, -1].copy(),
        spread_minimum=spread,
        dependencies=dependencies,
        balances=balances.copy(),
        process_move_weight=int(weights[0]),
        service_move_weight=int(weights[1]),
        machine_move_weight=int(weights[2]),
    )


def read_assignment(text: str, *, name: str = "assignment") -> problem.Integers:
    """Returns the machine of each process, shape (P,).

    Raises:
        InvalidInputError: The text holds what is not a whole number.
    """
    return _Numbers(text, name).values


def _services(numbers: _Numbers) -> tuple[problem.Integers, problem.Integers]:
    spread: list[int] = []
    pairs: list[problem.Integers] = []
    for service in range(numbers.count()):
        minimum, needed = (int(value) for value in numbers.take(2))
        spread.append(minimum)
        others = numbers.take(needed)
        pairs.append(np.stack([np.full(len(others), service), others], axis=1))
    dependencies = np.concatenate(pairs) if pairs else np.zeros((0, 2), dtype=np.int64)
    return np.array(spread, dtype=np.int64), dependencies


class _Numbers:
    """The numbers of a text, taken from the front."""

    def __init__(self, text: str, name: str) -> None:
        self._name = name
        self._taken = 0
        try:
            with warnings.catch_warnings():
                # numpy only warns where a text is no number from some place on.
                warnings.simplefilter("error", DeprecationWarning)
                self.values: problem.Integers = np.fromstring(text, dtype=np.int64, sep=" ")
        except (DeprecationWarning, ValueError) as error:
            raise self._error("holds something that is not a whole number") from error

    def take(self, amount: int) -> problem.Integers:
        """Returns the next numbers."""
        start, self._taken = self._taken, self._taken + amount
        if amount < 0 or self._taken > len(self.values):
            what = f"asks for {amount} numbers at number {start}, but has {len(self.values)}"
            raise self._error(what)
        return self.values[start : self._taken]

    def count(self) -> int:
        """Returns the next number."""
        return int(self.take(1)[0])

    def rows(self, amount: int, width: int) -> problem.Integers:
        """Returns the next rows of equal width."""
        return self.take(amount * width).reshape(-1, width)

    def end(self) -> None:
        """Refuses what is left over."""
        if self._taken != len(self.values):
            raise self._error(f"has {len(self.values) - self._taken} numbers too many")

    def _error(self, what: str) -> errors.InvalidInputError:
        fix = "give a text in the format of the ROADEF/EURO challenge 2012"
        fault = errors.Fault(code="S001", message=f"{self._name} {what}", fix=fix)
        return errors.InvalidInputError(self._name, [fault])
