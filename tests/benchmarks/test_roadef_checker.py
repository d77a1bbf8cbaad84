"""The benchmark's checker of reassignments agrees with the definition, word by word."""

from __future__ import annotations

import dataclasses
import gzip
from pathlib import Path

import numpy as np
import pytest

from benchmarks import frame
from benchmarks.placement import _roadef_checker as checker
from benchmarks.placement import roadef
from tests.support import reassignment_definition as definition
from tests.support import reassignments as make

TEXT = "1 0 1  2 0 0 9 5 0 0  0 1 9 5 0 0  2 0 0 0 0  2 0 4 1 1 4 1  0  1 1 1"


@pytest.mark.parametrize("seed", range(40))
def test_faults_and_costs_are_those_of_the_definition(seed: int) -> None:
    problem, start = make.with_start(seed)
    chance = np.random.default_rng(seed)
    for kept in (6, 5, 4, 3, 0):
        places = np.where(np.arange(6) < kept, start, chance.integers(0, 3, 6))
        found = checker.faults(problem, start, places)
        assert (found == []) == definition.feasible(problem, start, places)
        assert checker.cost(problem, start, places) == definition.cost(problem, start, places)


def test_amounts_beyond_the_precision_of_floating_point_are_exact() -> None:
    problem, start = make.with_start(1)
    large = dataclasses.replace(problem, requirement=problem.requirement + 2**54 + 1)
    assert checker.cost(large, start, start) == definition.cost(large, start, start)


def test_machines_that_do_not_exist_are_faults() -> None:
    problem, start = make.with_start(2)
    assert checker.faults(problem, start, start + 3) == ["a process is on no machine"]
    assert checker.faults(problem, start, start[1:]) == ["5 machines for 6 processes"]


def test_files_are_found_by_pattern_packed_or_not(tmp_path: Path) -> None:
    folder = tmp_path / "placement" / "roadef"
    folder.mkdir(parents=True)
    (folder / "model_new.txt.gz").write_bytes(gzip.compress(TEXT.encode()))
    (folder / "assignment_new.txt").write_text("0 0", encoding="ascii")
    (folder / "lb_new.txt").write_text("1", encoding="ascii")
    context = frame.Context(data=tmp_path, scratch=tmp_path, options={"seconds": 0.05})
    figures = {figure.name: figure for figure in roadef.run(context)}
    assert figures["new gap to the lower bound"].value == 100.0
    assert figures["broken limits and wrong costs, all instances"].holds
    absent = dataclasses.replace(context, options={"instances": "b_*"})
    with pytest.raises(frame.MissingDataError, match="model_b_"):
        list(roadef.run(absent))
