"""Units of measured columns: factors between them, and values that are plausible in each."""

from __future__ import annotations

# Molar mass decides how mmol/L and mg/dL go together, so these factors belong to a substance,
# recognised by how its column is usually named. Cholesterol: 386.65 g/mol; glucose: 180.16;
# triglycerides: 885.4 as a mean; creatinine (umol/L): 113.12.
_MG_PER_DL_IN_MMOL_PER_L = {
    "chol": 38.67,
    "ldl": 38.67,
    "hdl": 38.67,
    "gluc": 18.016,
    "trig": 88.57,
}

_FACTORS = {
    ("kPa", "mmHg"): 7.50062,
    ("cm", "mm"): 10.0,
    ("m", "cm"): 100.0,
    ("in", "cm"): 2.54,
    ("lb", "kg"): 0.45359237,
    ("g", "kg"): 0.001,
    ("months", "years"): 1 / 12,
    ("Hz", "bpm"): 60.0,
    ("g/L", "mg/dL"): 100.0,
    ("s", "ms"): 1000.0,
    ("share", "%"): 100.0,
}

_PLAUSIBLE = {
    "years": (0.0, 130.0),
    "mmHg": (30.0, 350.0),
    "mg/dL": (20.0, 2_000.0),
    "mmol/L": (0.1, 60.0),
    "bpm": (20.0, 300.0),
    "kg": (0.2, 650.0),
    "cm": (10.0, 280.0),
    "mm": (-100.0, 3_000.0),
    "%": (-100.0, 100.0),
    "share": (-1.0, 1.0),
}


def factor(column: str, *, arrives_in: str, wanted: str) -> float | None:
    """Return what a value of a column is multiplied by, or None when no factor is known.

    >>> factor("chol", arrives_in="mmol/L", wanted="mg/dL")
    38.67
    >>> factor("height", arrives_in="cm", wanted="m")
    0.01
    """
    if arrives_in == wanted:
        return 1.0
    known = _one_way(column, arrives_in, wanted)
    if known is not None:
        return known
    back = _one_way(column, wanted, arrives_in)
    return None if back is None else 1 / back


def plausible(unit: str) -> tuple[float, float] | None:
    """Return the range in which the median of a column in this unit lies, or None if unknown."""
    return _PLAUSIBLE.get(unit)


def likely_units(column: str, *, median: float, wanted: str) -> list[str]:
    """Return units in which a median that is not plausible in `wanted` would be, likely ones first.

    >>> likely_units("chol", median=6.2, wanted="mg/dL")
    ['mmol/L', 'g/L']
    """
    limits = _PLAUSIBLE.get(wanted)
    if limits is None:
        return []
    laboratory = ["mg/dL", "mmol/L"]
    others = sorted({unit for pair in _FACTORS for unit in pair} - set(laboratory))
    found: list[str] = []
    for unit in [*laboratory, *others]:
        if unit == wanted:
            continue
        known = factor(column, arrives_in=unit, wanted=wanted)
        if known is not None and limits[0] <= median * known <= limits[1]:
            found.append(unit)
    return found


def _one_way(column: str, arrives_in: str, wanted: str) -> float | None:
    if (arrives_in, wanted) == ("mmol/L", "mg/dL"):
        substance = next((name for name in _MG_PER_DL_IN_MMOL_PER_L if name in column.lower()), "")
        return _MG_PER_DL_IN_MMOL_PER_L.get(substance)
    return _FACTORS.get((arrives_in, wanted))
