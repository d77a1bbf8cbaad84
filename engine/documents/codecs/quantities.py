"""Quantities written out with their units, as people say them.

Each codec reads a text such as `412 GiB` into a number of the unit that the model type names,
and writes the number back in the unit that reads best and gives the very same number.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from engine.documents.codecs.base import Codec, Schema, alike, check_range, one_of
from engine.documents.sources import Node, trouble

NUMBER = r"[+-]?(?:\d[\d_]*(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+)?"
_EXACT_BELOW = 1e15
# Whole floats above are easier read with an exponent.
_QUANTITY = re.compile(rf"\s*({NUMBER})\s*(.*?)\s*")

GIB_UNITS: Mapping[str, float] = {
    "PiB": 1024.0**2,
    "TiB": 1024.0,
    "GiB": 1.0,
    "MiB": 1 / 1024,
    "KiB": 1 / 1024**2,
    "PB": 1e15 / 1024**3,
    "TB": 1e12 / 1024**3,
    "GB": 1e9 / 1024**3,
    "MB": 1e6 / 1024**3,
    "KB": 1e3 / 1024**3,
    "kB": 1e3 / 1024**3,
    "B": 1 / 1024**3,
}
SECONDS_UNITS: Mapping[str, float] = {
    "d": 86_400.0,
    "h": 3_600.0,
    "min": 60.0,
    "s": 1.0,
    "ms": 0.001,
}
_WORDS_OF_TIME: Mapping[str, str] = {
    "days": "d",
    "day": "d",
    "hours": "h",
    "hour": "h",
    "minutes": "min",
    "minute": "min",
    "seconds": "s",
    "second": "s",
    "milliseconds": "ms",
}
MBPS_UNITS: Mapping[str, float] = {"Gbit/s": 1_000.0, "Mbit/s": 1.0, "kbit/s": 0.001}
RATE_UNITS: Mapping[str, float] = {"/s": 1.0, "/min": 1 / 60, "/h": 1 / 3600}


@dataclass(frozen=True)
class Quantity(Codec[float]):
    """A number with a unit.

    units: unit to its factor, in the order in which `write` prefers them.
    unit: the one of the model; low and high are in it and allowed themselves.
    aliases: other spellings of units; trailing: a word that may follow (`peak`).
    bare: whether a number may stand without a unit and is then in `unit`.
    """

    what: str
    example: str
    units: Mapping[str, float]
    unit: str
    low: float
    high: float
    aliases: Mapping[str, str] | None = None
    trailing: str = ""
    bare: bool = False

    def read(self, node: Node) -> float:
        """Return the number in the model's unit."""
        number, unit = split(node, self.what, self.example)
        if self.trailing:
            unit = unit.removesuffix(self.trailing).strip()
        unit = (self.aliases or {}).get(unit, unit)
        if not unit and not self.bare:
            written = re.sub(NUMBER, node.shown(), self.example, count=1)
            fix = f"write `{written if math.isfinite(number) else self.example}`, for example"
            raise trouble("S006", node, f"{node.shown()!r} has no unit", fix=fix)
        factor = 1.0 if not unit else self.units.get(unit)
        if factor is None:
            known = list(self.units)
            near = alike(unit, known)
            raise trouble(
                "S006",
                node,
                f"`{unit}` is no unit of {self.what}; use {one_of(known)}",
                candidates=near,
                fix=f"for example `{self.example}`",
            )
        value = number * factor
        check_range(value, node, self.low, self.high, self.write)
        return value

    def write(self, value: float) -> object:
        """Return the text with the fewest digits that reads back as exactly this number."""
        if self.bare:
            return int(value) if float(value).is_integer() else value
        written = [(short(value), self.unit)] + [
            (number, unit)
            for unit, factor in self.units.items()
            if value >= factor and float(number := short(value / factor)) * factor == value
        ]
        number, unit = min(
            written, key=lambda each: (len(each[0]), list(self.units).index(each[1]))
        )
        space = "" if unit.startswith("/") else " "
        return f"{number}{space}{unit} {self.trailing}".rstrip()

    def schema(self) -> Schema:
        """Accept a text with a number first."""
        text: Schema = {
            "type": "string",
            "pattern": rf"^\s*{NUMBER}\s*\S+",
            "examples": [self.example],
        }
        return {"anyOf": [{"type": "number"}, text]} if self.bare else text


def split(node: Node, what: str, example: str) -> tuple[float, str]:
    """Return number and unit of a text such as `412 GiB`; the unit is "" for a bare number.

    Raises:
        TroubleError: when there is no number at its start.
    """
    value = node.value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value), ""
    match = _QUANTITY.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        message = f"{what} was expected, not {node.shown()!r}"
        raise trouble("S006", node, message, fix=f"for example `{example}`")
    return float(match[1].replace("_", "")), match[2]


def short(value: float) -> str:
    """Return the shortest decimal text of a number that reads back as the same number."""
    value = float(value)  # Type checkers let whole numbers through.
    return str(int(value)) if value.is_integer() and abs(value) < _EXACT_BELOW else repr(value)


def gib(what: str, example: str, low: float, high: float) -> Quantity:
    """Return the codec of an amount of data in GiB between two bounds."""
    return Quantity(what, example, GIB_UNITS, "GiB", low, high)


def seconds(what: str, example: str, low: float, high: float) -> Quantity:
    """Return the codec of a duration in seconds between two bounds."""
    return Quantity(what, example, SECONDS_UNITS, "s", low, high, _WORDS_OF_TIME)


MEMORY = gib("an amount of memory", "16 GiB", 1 / 1024, 65_536)
DISK = gib("an amount of disk", "200 GiB", 1 / 1024, 1024.0**2)
VOLUME = gib("an amount of data", "412 GiB", 1 / 1024**3, 1024.0**3)
GPU_MEMORY = gib("the memory of a GPU", "80 GiB", 1.0, 1_024)
CPU = Quantity(
    "a number of cores",
    "4 cores",
    {"cores": 1.0},
    "cores",
    0.01,
    10_000,
    {"core": "cores", "cpu": "cores"},
    bare=True,
)
NETWORK = Quantity("a bandwidth", "500 Mbit/s", MBPS_UNITS, "Mbit/s", 0.001, 10_000_000)
RATE = Quantity(
    "a rate of requests",
    "300/s peak",
    RATE_UNITS,
    "/s",
    1e-6,
    10_000_000,
    {"per second": "/s", "per minute": "/min", "per hour": "/h"},
    trailing="peak",
)
EVERY = seconds("a duration", "7 d", 60, 400 * 86_400)
WITHIN = seconds("a duration", "30 min", 1, 400 * 86_400)
COOL_DOWN = seconds("a duration", "10 min", 0, 400 * 86_400)
GRACE = seconds("a duration", "10 s", 0, 3_600)


@dataclass(frozen=True)
class Milliseconds(Codec[float]):
    """A latency in milliseconds."""

    seconds: Quantity

    def read(self, node: Node) -> float:
        """Return milliseconds; exact for those that were written as such."""
        number, unit = split(node, self.seconds.what, self.seconds.example)
        value = self.seconds.read(node)
        return number if unit == "ms" else value * 1_000

    def write(self, value: float) -> object:
        """Return milliseconds."""
        return f"{short(value)} ms"

    def schema(self) -> Schema:
        """Accept a duration."""
        return self.seconds.schema()


LATENCY = Milliseconds(seconds("a latency", "50 ms", 0.000_1, 600))
ROUND_TRIP = Milliseconds(seconds("a round trip", "20 ms", 0, 60))


_PERCENT_MAX = 100.0


@dataclass(frozen=True)
class Fraction(Codec[float]):
    """A share above 0 and below 1: `99.9 %` or `0.999`."""

    what: str
    example: str

    def read(self, node: Node) -> float:
        """Return the fraction; 1 and 100 % are refused, since nobody can promise them."""
        number, unit = split(node, self.what, self.example)
        if unit not in {"", "%", "percent"}:
            message = f"`{unit}` is no unit of {self.what}; use `%` or a fraction below 1"
            raise trouble("S006", node, message, fix=f"for example `{self.example}`")
        if not unit and 1 < number <= _PERCENT_MAX:
            fix = f"write `{short(number)} %`, or a share below 1 such as `{short(number / 100)}`"
            raise trouble("S006", node, f"{node.shown()!r} is above 1 and has no unit", fix=fix)
        # Dividing the decimal text keeps 99.9 % equal to the number written 0.999.
        value = float(f"{number:.12g}e-2") if unit else number
        if not 0 < value < 1:
            message = f"{node.shown()!r} is not above 0 and below 100 %, as {self.what} must be"
            raise trouble("S007", node, message, fix=f"for example `{self.example}`")
        return value

    def write(self, value: float) -> object:
        """Return per cent where that reads back exactly, else the fraction."""
        percent = f"{value * 100:.12g}"
        return f"{percent} %" if float(f"{percent}e-2") == value else value

    def schema(self) -> Schema:
        """Accept a fraction or a text in per cent."""
        share: Schema = {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}
        text: Schema = {"type": "string", "pattern": rf"^\s*{NUMBER}\s*(%|percent)?\s*$"}
        return {"anyOf": [share, {**text, "examples": [self.example]}]}


KEEP = Fraction("a probability", "0.95")
AVAILABILITY = Fraction("an availability", "99.9 %")
QUALITY = Fraction("a quality", "0.91")
