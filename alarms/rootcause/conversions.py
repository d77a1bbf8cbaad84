"""Units that upstream systems confuse: which factor takes a value from one to the other.

Factors between mass and substance concentrations belong to a substance (molar masses:
cholesterol 386.7, glucose 180.2, triglycerides 885.7, creatinine 113.1 g/mol); all others to the
units alone. Rules files may add more.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """`wanted` value = `factor` x value that arrives + `offset`.

    quantity: what is measured; names: parts of column names by which it is recognised, none for
    conversions that any column may need.
    is_standard: whether the etl task knows the factor by the column's name and unit.
    """

    quantity: str
    arrives_in: str
    wanted: str
    factor: float
    offset: float = 0.0
    names: tuple[str, ...] = ()
    is_standard: bool = False

    def inverse(self) -> Conversion:
        """Return the conversion for the opposite mistake."""
        return Conversion(
            quantity=self.quantity,
            arrives_in=self.wanted,
            wanted=self.arrives_in,
            factor=1 / self.factor,
            offset=-self.offset / self.factor,
            names=self.names,
            is_standard=self.is_standard,
        )

    def fits_name(self, column: str) -> bool:
        """Return whether the column's name says that it holds this quantity."""
        return any(part in column.lower() for part in self.names)


def _substance(name: str, unit: str, factor: float, *parts: str, standard: bool) -> Conversion:
    return Conversion(
        quantity=name,
        arrives_in=unit,
        wanted="mg/dL",
        factor=factor,
        names=parts,
        is_standard=standard,
    )


def _plain(quantity: str, arrives_in: str, wanted: str, factor: float, *parts: str) -> Conversion:
    return Conversion(
        quantity=quantity, arrives_in=arrives_in, wanted=wanted, factor=factor, names=parts
    )


_ONE_WAY: tuple[Conversion, ...] = (
    _substance("cholesterol", "mmol/L", 38.67, "chol", "ldl", "hdl", standard=True),
    _substance("glucose", "mmol/L", 18.016, "gluc", standard=True),
    _substance("glucose", "mmol/L", 18.016, "sugar", "glyc", standard=False),
    _substance("triglycerides", "mmol/L", 88.57, "trig", standard=True),
    _substance("creatinine", "umol/L", 1 / 88.42, "creat", standard=False),
    _substance("urea nitrogen", "mmol/L", 2.801, "urea", "bun", standard=False),
    _substance("bilirubin", "umol/L", 1 / 17.10, "bili", standard=False),
    _substance("uric acid", "umol/L", 1 / 59.48, "uric", standard=False),
    _substance("calcium", "mmol/L", 4.008, "calcium", standard=False),
    _plain("haemoglobin", "g/L", "g/dL", 0.1, "hemoglobin", "haemoglobin", "hgb", "hb"),
    _plain("pressure", "kPa", "mmHg", 7.50062, "bp", "press", "sys", "dia"),
    _plain("mass", "lb", "kg", 0.45359237, "weight", "mass", "wt"),
    _plain("mass", "g", "kg", 0.001, "weight", "mass"),
    _plain("length", "in", "cm", 2.54, "height", "length", "waist", "stature"),
    _plain("length", "m", "cm", 100.0, "height", "length", "waist", "stature"),
    _plain("length", "ft", "m", 0.3048, "height", "length", "distance", "altitude"),
    _plain("length", "mi", "km", 1.609344, "distance", "range", "mileage"),
    _plain("speed", "mph", "km/h", 1.609344, "speed", "velocity"),
    _plain("speed", "km/h", "m/s", 1 / 3.6, "speed", "velocity", "wind"),
    _plain("volume", "gal", "L", 3.785411784, "volume", "fuel"),
    _plain("energy", "kcal", "kJ", 4.184, "energy", "calor"),
    _plain("pressure", "psi", "kPa", 6.894757, "press"),
    _plain("frequency", "Hz", "bpm", 60.0, "rate", "thalach", "pulse", "bpm"),
    _plain("time", "months", "years", 1 / 12, "age", "tenure"),
    _plain("time", "days", "years", 1 / 365.25, "age", "tenure"),
    _plain("time", "h", "min", 60.0, "duration", "time"),
    _plain("time", "s", "ms", 1000.0, "duration", "time", "latency"),
    _plain("size", "KiB", "MiB", 1 / 1024, "size", "memory", "bytes"),
    Conversion(
        quantity="temperature",
        arrives_in="degF",
        wanted="degC",
        factor=5 / 9,
        offset=-160 / 9,
        names=("temp",),
    ),
    Conversion(
        quantity="temperature",
        arrives_in="K",
        wanted="degC",
        factor=1.0,
        offset=-273.15,
        names=("temp",),
    ),
    _plain("a part of the whole", "share", "%", 100.0, "percent", "pct", "share", "ratio"),
    _plain("a power of ten", "/10", "x1", 10.0),
    _plain("a power of ten", "/100", "x1", 100.0),
    _plain("a power of ten", "/1000", "x1", 1000.0),
)

CONVERSIONS: tuple[Conversion, ...] = tuple(
    conversion for one in _ONE_WAY for conversion in (one, one.inverse())
)
"""Every conversion in both directions."""


def candidates(column: str, more: tuple[Conversion, ...] = ()) -> Iterator[Conversion]:
    """Yield the conversions a column may need: by its name first, then those of no name.

    A factor that belongs to a substance or quantity is only tried on columns named for it: among
    dozens of factors some would fit any shift by chance.
    """
    every = (*more, *CONVERSIONS)
    yield from (conversion for conversion in every if conversion.fits_name(column))
    yield from (conversion for conversion in every if not conversion.names)
