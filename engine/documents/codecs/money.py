"""Money and counts per period: `60 USD per run`, `1.2 USD per hour`, `2 per day`."""

from __future__ import annotations

from dataclasses import dataclass

from engine.documents.codecs.base import Codec, Schema, check_range
from engine.documents.codecs.quantities import NUMBER, short, split
from engine.documents.sources import Node, TroubleError, trouble
from engine.model.errors import InvalidInputError
from engine.model.identifiers import MicroDollars
from engine.model.specs import BudgetPeriod

_DOLLARS_MAX = 1e9
MICRO_DOLLARS_MAX = 10**15
"""The largest amount that is read anywhere: a thousand million dollars."""


def micro_dollars(node: Node, period: str, example: str) -> tuple[MicroDollars, str]:
    """Return an amount of US dollars and the word after `per` ("" without one).

    Raises:
        TroubleError: for another currency, a missing one, or an absurd amount. `period` names the
            periods for the message.
    """
    number, unit = split(node, "an amount of money", example)
    currency, _, rest = unit.partition("per")
    currency = currency.strip()
    if currency not in {"USD", "$", "dollars"}:
        unknown = f"`{currency}` is no currency Berth counts in"
        said = unknown if currency else f"{str(node.value)!r} has no currency"
        raise trouble(
            "S006", node, f"{said}; use USD {period}".rstrip(), fix=f"for example `{example}`"
        )
    check_range(number, node, 0, _DOLLARS_MAX, "{:.0f} USD".format)
    return MicroDollars(round(number * 1_000_000)), rest.strip()


def read_amount(text: str, *, name: str) -> MicroDollars:
    """Return an amount that is per nothing: `100 USD`. For values given on a command line.

    Raises:
        InvalidInputError: when it is no such amount; `name` says where it was given.
    """
    node = Node(path="", value=text)  # the name says where
    example = "100 USD"
    try:
        amount, period = micro_dollars(node, "", example)
        if period:
            fix = f"write `{written_dollars(amount)}`"
            raise trouble("S006", node, f"{text!r} is an amount per {period}", fix=fix)
    except TroubleError as error:
        raise InvalidInputError(name, error.faults) from error
    return amount


def written_dollars(amount: MicroDollars) -> str:
    """Return micro-dollars as exact decimal dollars."""
    whole, rest = divmod(amount, 1_000_000)
    return f"{whole}.{rest:06d}".rstrip("0").rstrip(".") + " USD"


@dataclass(frozen=True)
class Budget(Codec[tuple[MicroDollars, BudgetPeriod]]):
    """`60 USD per run` or `900 USD per month`."""

    example = "60 USD per run"

    def read(self, node: Node) -> tuple[MicroDollars, BudgetPeriod]:
        """Return the amount and what it is counted over."""
        amount, period = micro_dollars(node, "per run or per month", self.example)
        if period not in {item.value for item in BudgetPeriod}:
            said = f"`per {period}` is unknown" if period else "says not over what"
            fix = f"write `{written_dollars(amount)} per run` or `per month`"
            raise trouble("S006", node, f"{node.shown()!r}: {said}", fix=fix)
        return amount, BudgetPeriod(period)

    def write(self, value: tuple[MicroDollars, BudgetPeriod]) -> object:
        """Return dollars with their period."""
        return f"{written_dollars(value[0])} per {value[1].value}"

    def schema(self) -> Schema:
        """Accept dollars per run or month."""
        pattern = rf"^\s*{NUMBER}\s*(USD|\$|dollars)\s*per\s*(run|month)\s*$"
        return {"type": "string", "pattern": pattern, "examples": [self.example]}


@dataclass(frozen=True)
class Money(Codec[MicroDollars]):
    """Dollars per one fixed thing: `1.2 USD per hour`."""

    period: str
    example: str

    def read(self, node: Node) -> MicroDollars:
        """Return the amount."""
        amount, period = micro_dollars(node, f"per {self.period}", self.example)
        if period != self.period:
            fix = f"write `{written_dollars(amount)} per {self.period}`"
            raise trouble("S006", node, f"{node.shown()!r} is not per {self.period}", fix=fix)
        return amount

    def write(self, value: MicroDollars) -> object:
        """Return dollars with the period."""
        return f"{written_dollars(value)} per {self.period}"

    def schema(self) -> Schema:
        """Accept dollars per this period."""
        pattern = rf"^\s*{NUMBER}\s*(USD|\$|dollars)\s*per\s*{self.period}\s*$"
        return {"type": "string", "pattern": pattern, "examples": [self.example]}


PER_HOUR = Money("hour", "1.2 USD per hour")
PER_DAY = Money("day", "80 USD per day")
PER_TASK = Money("task", "0.1 USD per task")
PER_GIB = Money("GiB", "0.02 USD per GiB")


@dataclass(frozen=True)
class TimesPerDay(Codec[int]):
    """`2 per day`."""

    high: int = 1_440

    def read(self, node: Node) -> int:
        """Return how often a day at most."""
        number, unit = split(node, "a number of times", "2 per day")
        if unit not in {"per day", "/day", "a day", "times per day"}:
            said = f"`{unit}` is not `per day`" if unit else f"{node.shown()!r} says not per what"
            raise trouble("S006", node, said, fix=f"write `{short(number)} per day`")
        check_range(number, node, 0, self.high, "{:g} per day".format)
        if not number.is_integer():
            raise trouble("S007", node, f"{node.shown()!r} is no whole number of times")
        return int(number)

    def write(self, value: int) -> object:
        """Return the number with `per day`."""
        return f"{value} per day"

    def schema(self) -> Schema:
        """Accept a whole number per day."""
        pattern = r"^\s*\d+\s*(times per day|per day|/day|a day)\s*$"
        return {"type": "string", "pattern": pattern, "examples": ["2 per day"]}
