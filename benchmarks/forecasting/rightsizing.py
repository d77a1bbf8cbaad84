"""What services hold over what they use at 2 % violations, against VPA's and KRR's curves.

Use of GPU memory, host memory and GPUs of pods (`forecasting/genai-pod-*.csv*`, 57 s), and of
processors (`forecasting/planetlab-cpu-percent*.npz`, 5 min). Every hour all is recommended anew and
the next hour is scored: a violation is an hour with a sample above what is held for memory, and a
sample above it for processors. Pods: knobs are chosen on the first half of the hours and kept;
figures are of the second half. What comes of knobs that are chosen anew each hour from all that is
known by then, as the product does, stands beside it without bars. PlanetLab: one day is left out,
the others are learned from, and the second half of the left-out day is scored; days are pooled. The
rightsizer under test is `forecasting.profiles.rightsizing`; ports of VPA and KRR stand in `_vpa`,
and get the best knob in hindsight.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks import frame
from benchmarks.forecasting import _vpa
from forecasting.profiles.recommenders import Violation
from forecasting.profiles.rightsizing import Rightsizer
from forecasting.profiles.windows import in_hours

PATTERNS = {
    "GPU memory": "forecasting/genai-pod-gpu-memory-used*.csv*",
    "host memory": "forecasting/genai-pod-memory-util*.csv*",
    "GPU use": "forecasting/genai-pod-gpu-duty-cycle*.csv*",
    "CPU": "forecasting/planetlab-cpu-percent*.npz",
}
ALLOWED = 0.02
ALLOWANCES = (0.005, 0.01, ALLOWED, 0.03, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5)
SEED = 1
POD_SAMPLES = 63
POD_STEP_SECONDS = 57.0
DAY_SAMPLES = 12
QUICK_ROWS = 150
LEVELS = (0.5, 0.7, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99, 0.995, 1.0)
MARGINS = (0.9, 0.95, 1.0, 1.02, 1.05, 1.1, 1.15, 1.2, 1.3, 1.4, 1.5, 1.7, 2.0, 2.5)

Curve = list[tuple[float, float]]


@dataclass(frozen=True, kw_only=True)
class Tally:
    """Windows or samples above and in all, and what was held and used, in sums."""

    above: float = 0.0
    counted: float = 0.0
    held: float = 0.0
    used: float = 0.0

    def plus(self, other: "Tally") -> "Tally":
        """Returns both together."""
        return Tally(
            above=self.above + other.above,
            counted=self.counted + other.counted,
            held=self.held + other.held,
            used=self.used + other.used,
        )

    @property
    def point(self) -> tuple[float, float]:
        """The share of violations, and what was held over what was used."""
        return self.above / max(self.counted, 1.0), self.held / max(self.used, 1e-12)


def tally(amounts: np.ndarray, used: np.ndarray, violation: Violation) -> Tally:
    """Returns the tally of (n, hours) amounts against (n, hours, samples) of use.

    An independent count: hours without an amount or a sample are left out.
    """
    there = np.isfinite(used) & np.isfinite(amounts)[:, :, None]
    above = (used > amounts[:, :, None]) & there
    if violation is Violation.WINDOW:
        hours = there.any(axis=2)
        counts = float(above.any(axis=2).sum()), float(hours.sum())
    else:
        counts = float(above.sum()), float(there.sum())
    held = np.where(there, amounts[:, :, None], 0.0).sum()
    return Tally(
        above=counts[0],
        counted=counts[1],
        held=float(held),
        used=float(np.where(there, used, 0.0).sum()),
    )


@dataclass(frozen=True, kw_only=True)
class Case:
    """A part to score: what knobs are chosen on, the use of the scored services, the first hour.

    goes_on: the scored hours follow those learned from, so that each hour teaches the next.
    """

    learned: np.ndarray
    used: np.ndarray
    first_hour: int
    goes_on: bool


@dataclass(frozen=True, kw_only=True)
class Resource:
    """A resource with its parts, what counts as a violation, and its bar."""

    name: str
    violation: Violation
    cases: list[Case]
    first_bucket: float
    bar: float
    margin: float = _vpa.VPA_MARGIN


@dataclass(frozen=True, kw_only=True)
class Ours:
    """What the rightsizer holds: its curve, the point of `ALLOWED` on it, the family there."""

    curve: Curve
    point: tuple[float, float]
    family: str


def run(context: frame.Context) -> Iterator[frame.Figure]:
    """Yields the figures of every resource that has data, and which have none."""
    measured = set()
    for resource in _resources(context):
        measured.add(resource.name)
        yield from _figures(resource)
    for name, pattern in PATTERNS.items():
        if name not in measured:
            yield frame.no_data(name, pattern)


def _resources(context: frame.Context) -> Iterator[Resource]:
    """Yields what is to be scored, with its bar of what is held over what VPA holds."""
    rows = QUICK_ROWS if context.quick else None
    pods = (
        ("GPU memory", Violation.WINDOW, 1e7, 0.93, 1.15),
        ("host memory", Violation.WINDOW, 1e-3, 1.0, 1.0),
        ("GPU use", Violation.SAMPLE, 1.0, None, 1.15),
    )
    for name, violation, first, bar, margin in pods:
        for path in sorted(context.data.glob(PATTERNS[name])):
            used = pod_hours(path)
            half = used.shape[1] // 2
            case = Case(learned=used[:, :half], used=used, first_hour=half, goes_on=True)
            yield Resource(
                name=name,
                violation=violation,
                cases=[case],
                first_bucket=first,
                bar=np.inf if bar is None else bar,
                margin=margin,
            )
    for path in sorted(context.data.glob(PATTERNS["CPU"])):
        days = [in_hours(day[:rows].astype(float), DAY_SAMPLES) for day in np.load(path).values()]
        cases = [
            Case(
                learned=np.concatenate([day for other, day in enumerate(days) if other != left]),
                used=days[left],
                first_hour=days[left].shape[1] // 2,
                goes_on=False,
            )
            for left in range(len(days))
        ]
        # VPA's first bucket is 0.01 cores: a percent of one.
        yield Resource(
            name="CPU", violation=Violation.SAMPLE, cases=cases, first_bucket=1.0, bar=0.97
        )


def _figures(resource: Resource) -> Iterator[frame.Figure]:
    """Yields what a resource holds at 2 % violations, ours and theirs."""
    theirs = _vpa_curve(resource), _krr_curve(resource)
    kept = _ours(resource, anew=False)
    violations = 100 * kept.point[0]
    yield frame.at_least(f"{resource.name}: its violations, at least", violations, 1.0, unit="%")
    yield frame.at_most(f"{resource.name}: its violations, at most", violations, 3.0, unit="%")
    yield from _against(resource, kept, *theirs)
    if all(case.goes_on for case in resource.cases):
        beside = replace(resource, name=f"{resource.name}, knob chosen anew each hour")
        anew = _ours(resource, anew=True)
        yield frame.informs(f"{beside.name}: its violations", 100 * anew.point[0], unit="%")
        for figure in _against(beside, anew, *theirs):
            yield replace(figure, bar="", holds=True)


def _against(
    resource: Resource,
    ours: Ours,
    vpa: tuple[Curve, tuple[float, float]],
    krr: tuple[Curve, tuple[float, float]],
) -> Iterator[frame.Figure]:
    """Yields what is held over what VPA and KRR hold, curves with their default points."""
    name, curve = resource.name, ours.curve
    violations, held = ours.point
    said = f"VPA {at(vpa[0], violations):.3f}, KRR {at(krr[0], violations):.3f}; by {ours.family}"
    yield frame.informs(f"{name}: held over used", held, anchor=said)
    over = at(curve, ALLOWED) / at(vpa[0], ALLOWED)
    title = f"{name}: held at 2 % over VPA's" + (" without margin" if resource.margin == 1 else "")
    if np.isfinite(resource.bar):
        yield frame.at_most(title, over, resource.bar)
    else:
        yield frame.informs(title, over)
    beaten = [at(curve, x) / y for x, y in (*vpa[0], *krr[0]) if curve[0][0] <= x <= curve[-1][0]]
    worst = max(beaten, default=np.nan)
    yield frame.at_most(f"{name}: largest held over their curves, same violations", worst, 1.0)
    for product, (share, default) in (("VPA", vpa[1]), ("KRR", krr[1])):
        said = f"{default:.3f} at {100 * share:.2f} %"
        ratio = at(curve, share) / default
        yield frame.at_most(f"{name}: held over {product}'s default", ratio, 1.0, anchor=said)


def _ours(resource: Resource, *, anew: bool) -> Ours:
    """Returns what the rightsizer holds in all parts; anew: knobs are chosen at each hour."""
    curve = [Tally() for _ in ALLOWANCES]
    families = []
    for case in resource.cases:
        recommended = _recommended(case, resource.violation, anew=anew)
        for place, (family, held) in enumerate(recommended):
            curve[place] = curve[place].plus(tally(held, case.used, resource.violation))
            families.append(family)
    place = ALLOWANCES.index(ALLOWED)
    points = [told.point for told in curve]
    return Ours(curve=sorted(points), point=points[place], family=families[place])


def _recommended(case: Case, violation: Violation, *, anew: bool) -> list[tuple[str, np.ndarray]]:
    """Returns for each allowance the family and (n, hours) of what it holds, NaN elsewhere."""
    sizer = Rightsizer(case.learned, violation=violation, seed=SEED)
    chosen = [sizer.choose(allowed) for allowed in ALLOWANCES]
    held = [np.full(case.used.shape[:2], np.nan) for _ in ALLOWANCES]
    last = case.used.shape[1]
    for hour in range(case.first_hour, last) if case.goes_on else [case.first_hour]:
        known = case.used[:, : hour + 1] if case.goes_on else case.used
        if case.goes_on:
            sizer.learn(case.used[:, :hour])
        if anew:
            chosen = [sizer.choose(allowed) for allowed in ALLOWANCES]
        for place, choice in enumerate(chosen):
            rows, amounts = sizer.recommend(known, choice, first_hour=hour)
            held[place][rows.service, rows.hour] = amounts
    return [(choice.family.value, amounts) for choice, amounts in zip(chosen, held, strict=True)]


def _vpa_curve(resource: Resource) -> tuple[Curve, tuple[float, float]]:
    """Returns VPA's curve over percentiles, then margins at the largest, and its default point."""
    histograms = [_vpa.Histogram(case.used, first=resource.first_bucket) for case in resource.cases]

    def point(level: float, margin: float) -> tuple[float, float]:
        return _pooled(resource, [histogram.percentile(level) * margin for histogram in histograms])

    knobs = [(level, resource.margin) for level in LEVELS]
    knobs += [(1.0, margin) for margin in MARGINS if margin > resource.margin]
    return sorted(point(*knob) for knob in knobs), point(_vpa.VPA_PERCENTILE, _vpa.VPA_MARGIN)


def _krr_curve(resource: Resource) -> tuple[Curve, tuple[float, float]]:
    """Returns KRR's curve over percentiles (processors) or margins (memory), and its default."""

    def point(percent: float, margin: float) -> tuple[float, float]:
        amounts = [_vpa.krr_percentile(case.used, percent) * margin for case in resource.cases]
        return _pooled(resource, amounts)

    if resource.violation is Violation.SAMPLE:
        curve = sorted(point(100.0 * level, 1.0) for level in LEVELS)
        return curve, point(_vpa.KRR_PERCENTILE, 1.0)
    curve = sorted(point(100.0, margin) for margin in MARGINS)
    return curve, point(100.0, _vpa.KRR_MARGIN)


def _pooled(resource: Resource, amounts: list[np.ndarray]) -> tuple[float, float]:
    """Returns the point of all parts together, from their first scored hours on."""
    total = Tally()
    for case, held in zip(resource.cases, amounts, strict=True):
        late = case.first_hour
        total = total.plus(tally(held[:, late:], case.used[:, late:], resource.violation))
    return total.point


def at(curve: Curve, violations: float) -> float:
    """Returns what a curve holds at a share of violations, linear between its points.

    Beyond its ends the curve is taken to go on flat, which flatters it.
    """
    best: Curve = []
    for share, ratio in sorted(curve):
        if not best or ratio < best[-1][1]:
            best.append((share, ratio))
    shares, ratios = zip(*best, strict=True)
    return float(np.interp(violations, shares, ratios))


def pod_hours(path: Path) -> np.ndarray:
    """Returns (pods, hours, samples) of a file of samples, NaN where there is none."""
    table = pd.read_csv(path)
    step = ((table.timestamp_anon - table.timestamp_anon.min()) / POD_STEP_SECONDS).round()
    table = table.assign(step=step.astype(int))
    wide = table.pivot_table(index="container_ip", columns="step", values="value")
    wide = wide.reindex(columns=range(int(table.step.max()) + 1))
    return in_hours(wide.to_numpy(float), POD_SAMPLES)
