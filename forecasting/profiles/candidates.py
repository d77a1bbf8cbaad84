"""Point forecasts of a task's memory from the size of its input, each cheap enough to redo.

All take the runs seen as arrays and answer for one size: a constant, lines on the size and between
the logarithms, the nearest runs, a line through the nearest runs (Cleveland, 1979), and the largest
of the nearest. None is right for every task; `sizing` lets their past costs decide.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Point = Callable[[Vector, Vector, float], float]
"""Of logarithms of sizes and of memory of runs seen, and the logarithm of a size: memory."""

_NEAREST = 3
_NEAR = 8
_LOCAL = 20
_RIDGE = 1e-3
_MOST_SLOPE = 3.0
_NO_SPREAD = 1e-12


def constant(_sizes: Vector, memory: Vector, _size: float) -> float:
    """Return the median of what was needed."""
    return float(np.exp(np.median(memory)))


def line(sizes: Vector, memory: Vector, size: float) -> float:
    """Return a line through memory over size, within a factor of two of what was seen."""
    told = _line(np.exp(sizes), np.exp(memory), float(np.exp(size)))
    return float(np.clip(told, np.exp(memory.min()) / 2.0, np.exp(memory.max()) * 2.0))


def power(sizes: Vector, memory: Vector, size: float) -> float:
    """Return a power of the size: a line through the logarithms."""
    told = _line(sizes, memory, size)
    return float(np.exp(np.clip(told, memory.min() - 0.7, memory.max() + 0.7)))


def nearest(sizes: Vector, memory: Vector, size: float) -> float:
    """Return the mean logarithm of the three runs of nearest size."""
    return float(np.exp(memory[_closest(sizes, size, _NEAREST)].mean()))


def near(sizes: Vector, memory: Vector, size: float) -> float:
    """Return the median of the eight runs of nearest size."""
    return float(np.exp(np.median(memory[_closest(sizes, size, _NEAR)])))


def largest_near(sizes: Vector, memory: Vector, size: float) -> float:
    """Return the largest of the eight runs of nearest size."""
    return float(np.exp(memory[_closest(sizes, size, _NEAR)].max()))


def local_line(sizes: Vector, memory: Vector, size: float) -> float:
    """Return a line through the logarithms of the nearest runs, nearer ones weighing more."""
    chosen = _closest(sizes, size, _LOCAL)
    x, y = sizes[chosen] - size, memory[chosen]
    width = np.abs(x).max() * 1.001 + 1e-12
    weights = (1.0 - (np.abs(x) / width) ** 3) ** 3 + 1e-6
    weights /= weights.sum()
    mean_x, mean_y = weights @ x, weights @ y
    spread = weights @ (x - mean_x) ** 2
    slope = weights @ ((x - mean_x) * (y - mean_y)) / (spread + _RIDGE * width**2 + 1e-12)
    told = mean_y - np.clip(slope, -_MOST_SLOPE, _MOST_SLOPE) * mean_x
    return float(np.exp(np.clip(told, y.min() - 0.2, y.max() + 0.2)))


def line_left_out(sizes: Vector, memory: Vector) -> Vector:
    """Return for each run what a line through all others says."""
    return _line_left_out(np.exp(sizes), np.exp(memory))


def power_left_out(sizes: Vector, memory: Vector) -> Vector:
    """Return for each run what a power through all others says."""
    return np.exp(_line_left_out(sizes, memory))


def constant_left_out(_sizes: Vector, memory: Vector) -> Vector:
    """Return the median of all runs, which one run hardly moves."""
    return np.full(len(memory), np.exp(np.median(memory)))


LEFT_OUT: Mapping[str, Callable[[Vector, Vector], Vector]] = {
    "constant": constant_left_out,
    "line": line_left_out,
    "power": power_left_out,
}
"""What the others say of each run, where that is cheap to know.

Such errors are those of the forecast as it is now, and not of what it was from fewer runs.
"""

POINTS: Mapping[str, Point] = {
    "constant": constant,
    "line": line,
    "power": power,
    "nearest": nearest,
    "near": near,
    "largest near": largest_near,
    "local line": local_line,
}


def _closest(sizes: Vector, size: float, count: int) -> NDArray[np.intp]:
    """Return the runs of nearest size."""
    far = np.abs(sizes - size)
    if len(far) <= count:
        return np.arange(len(far))
    return np.argpartition(far, count)[:count]


def _line_left_out(x: Vector, y: Vector) -> Vector:
    """Return leave-one-out fits in closed form: y - e / (1 - h), with h the leverage."""
    centre = x.mean()
    spread = float(((x - centre) ** 2).sum())
    if spread <= _NO_SPREAD:
        return np.asarray((y.sum() - y) / max(len(y) - 1, 1), dtype=np.float64)
    slope = float(((x - centre) * y).sum()) / spread
    fitted = y.mean() + slope * (x - centre)
    leverage = 1.0 / len(y) + (x - centre) ** 2 / spread
    return np.asarray(y - (y - fitted) / np.maximum(1.0 - leverage, 0.1), dtype=np.float64)


def _line(x: Vector, y: Vector, at: float) -> float:
    """Return the least-squares line at a place; the mean where x does not vary."""
    centre = x.mean()
    spread = float(((x - centre) ** 2).sum())
    slope = float(((x - centre) * y).sum()) / spread if spread > _NO_SPREAD else 0.0
    return float(y.mean() + slope * (at - centre))
