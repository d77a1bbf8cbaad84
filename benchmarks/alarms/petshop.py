"""Top-1 and top-3 of the faulty service in PetShop, specificity, and sameness over hash seeds.

Reads `alarms/petshop*.tar.gz`. Every issue of every scenario in the archive is explained from the
graph of calls, normal metrics and five rows of the issue. Specificity is the share of splits of
normal time (first half and more against the rest) for which no cause is named, as in the data's
own protocol; below, the same for windows as short as an issue. All rankings are computed again
in processes with 20 hash seeds.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from benchmarks import frame
from benchmarks.alarms import _petshop, _ranking
from benchmarks.alarms._petshop import Scenario

SEEDS = 20
QUICK_SEEDS = 2
WINDOW = 5
Targets = list[tuple[str, str, str]]


def run(context: frame.Context) -> Iterable[frame.Figure]:
    """Explain every issue."""
    for path in context.files("alarms/petshop*.tar.gz"):
        scenarios = _petshop.scenarios(path)
        yield from _recall(scenarios)
        yield from _specificity(scenarios)
        seeds = QUICK_SEEDS if context.quick else SEEDS
        yield frame.at_most(
            f"different rankings over {seeds} hash seeds", _different(path, seeds), 1
        )


def _recall(scenarios: list[Scenario]) -> Iterator[frame.Figure]:
    hits: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for scenario in scenarios:
        for issue, causes in _petshop.rankings(scenario):
            scores = {cause.entity: cause.own for cause in causes}
            hit = (_ranking.hit(scores, issue.cause, 1), _ranking.hit(scores, issue.cause, 3))
            hits.setdefault((scenario.name, issue.metric), []).append(hit)
    every = [hit for group in hits.values() for hit in group]
    chance = _ranking.mean([1 / len({key[0] for key in one.normal.columns}) for one in scenarios])
    yield frame.at_least(
        f"top-1 of {len(every)} issues",
        _ranking.mean([hit[0] for hit in every]),
        0.97,
        anchor=f"chance {chance:.3f}; ranked correlation .66",
    )
    yield frame.at_least(
        "top-3", _ranking.mean([hit[1] for hit in every]), 1.0, anchor="ranked correlation .84"
    )
    for (name, metric), group in sorted(hits.items()):
        yield frame.informs(
            f"top-1, {name}, {metric}",
            _ranking.mean([hit[0] for hit in group]),
            anchor=f"{len(group)} issues, top-3 {_ranking.mean([hit[1] for hit in group]):.3f}",
        )


def _specificity(scenarios: list[Scenario]) -> Iterator[frame.Figure]:
    empty: list[float] = []
    short: list[float] = []
    for scenario in scenarios:
        rows = scenario.normal.rows
        for node, metric, statistic in _targets(scenario):
            for split in range(rows // 2, rows - 3, int(rows * 0.1)):
                usual = scenario.normal.part(0, split)
                finder = _petshop.finder(scenario, usual, metric, statistic)
                present = scenario.normal.part(split).series(metric, statistic)
                empty.append(not finder.causes(node, present))
            usual = scenario.normal.part(0, rows // 2)
            finder = _petshop.finder(scenario, usual, metric, statistic)
            for start in range(rows // 2, rows - WINDOW, WINDOW):
                window = scenario.normal.part(start, start + WINDOW)
                short.append(not finder.causes(node, window.series(metric, statistic)))
    yield frame.at_least(
        f"specificity, {len(empty)} splits of normal time", _ranking.mean(empty), 0.98
    )
    yield frame.informs(
        f"specificity, {len(short)} windows of {WINDOW} rows, without an alarm first",
        _ranking.mean(short),
    )


def _targets(scenario: Scenario) -> Targets:
    found = {(issue.node, issue.metric, issue.statistic) for issue in scenario.issues}
    return sorted(found)


def _different(path: Path, seeds: int) -> int:
    """Return how many different rankings processes with other hash seeds give."""
    found: set[str] = set()
    for seed in range(seeds):
        command = [sys.executable, "-m", "benchmarks.alarms._petshop", str(path)]
        done = subprocess.run(
            command,
            check=True,
            capture_output=True,
            text=True,
            cwd=frame.ROOT.parent,
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
        )
        found.add(done.stdout)
    return len(found)
