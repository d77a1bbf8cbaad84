# ruff: noqa: ANN401 - what the library gives has no types here
"""Run by the interpreter of an environment that holds driftfdr: its suite, and its own alarms.

`python _driftfdr_runs.py FOLDER MODELS SEEDS` writes a file for each scenario of
`driftfdr.benchmark_suite` (25 cases; the last SEEDS of four seeds each): the values of every
model, where its change begins and ends (-1: never), and the alarms (model, step) of the library's
best configuration by its own experiment 21 (MeanShift(3) on the residuals of `split_common`, false
discoveries bounded within a window) and of Page-Hinkley at its usual threshold. Scores are made
elsewhere, by one scorer for all.
"""

import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np

NEVER = -1
STEPS = 5_000
SEEDS_PER_CASE = 4


def main(folder: Path, models: int, seeds: int) -> None:
    """Write every scenario with the alarms of both."""
    peer: Any = importlib.import_module("driftfdr")
    suite = peer.benchmark_suite(models, STEPS, SEEDS_PER_CASE)
    for number, (case, config, seed) in enumerate(suite):
        if number % SEEDS_PER_CASE < SEEDS_PER_CASE - seeds:
            continue
        scenario = peer.make_scenario(config, seed)
        is_changed = scenario.change_start < STEPS
        hinkley = peer.PageHinkley()
        best = alarms(
            peer, residuals(peer, scenario), peer.MeanShift(3), peer.make_procedure("bh_window")
        )
        usual = alarms(
            peer, scenario, hinkley, peer.RawThreshold(threshold=hinkley.default_threshold)
        )
        np.savez(
            folder / f"{number:03d}.npz",
            case=np.array(case),
            values=scenario.values.astype(np.float32),
            begins=np.where(is_changed, scenario.change_start, NEVER),
            ends=np.where(is_changed, scenario.change_end, NEVER),
            driftfdr=best,
            hinkley=usual,
        )


def residuals(peer: Any, scenario: Any) -> Any:
    """Return a scenario of what models do not have in common."""
    left, _ = peer.split_common(scenario.values, peer.MonitorConfig().n_ref)
    changes = [None if start > len(left[0]) else int(start) for start in scenario.change_start]
    return peer.Scenario.from_arrays(left, change_points=changes)


def alarms(peer: Any, scenario: Any, detector: Any, procedure: Any) -> Any:
    """Return model and step of every alarm, as an array of two columns."""
    tests = peer.run_monitor(scenario, detector, procedure, peer.MonitorConfig()).tests
    return tests.loc[tests["rejected"], ["stream", "t_end"]].to_numpy()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
