"""Faults of all kinds through the watch loop: what a training cures is trained, the rest is not."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.alarms import _mending
from benchmarks.alarms import loop as scores
from engine.model.alarms import CauseKind
from simulations import faults, loop, pipelines
from simulations.faults import Fault

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def outcome() -> loop.Outcome:
    return loop.World(6).run()


def test_a_world_has_faults_of_different_kinds() -> None:
    random = np.random.default_rng(1)
    drawn = faults.drawn(random, 4)
    kinds = [faults.KINDS.get(fault.name) for fault in drawn]
    assert len(set(kinds)) == len(kinds)
    assert kinds[-1] is None


def test_every_kind_can_be_drawn() -> None:
    assert {kind for kind in CauseKind if kind is not CauseKind.UNKNOWN} == set(
        faults.KINDS.values()
    )


def test_a_fault_grows_and_ends() -> None:
    fault = Fault(name="sinking concept", begins=10, ends=30, ramp=10)
    assert [fault.part(window) for window in (9, 10, 14, 25, 30)] == [0.0, 0.1, 0.5, 1.0, 0.0]


def test_noise_follows_from_the_seed() -> None:
    def values(seed: int) -> list[float]:
        fault = Fault(name="nothing", begins=0, ends=0)
        one = pipelines.drawn("p", "c", fault, np.random.default_rng(seed))
        return [signal.value for signal in one.window(0, 0.0)]

    assert values(1) == values(1)
    assert values(1) != values(2)


def test_only_what_training_cures_is_trained(outcome: loop.Outcome) -> None:
    found = scores.retrains(outcome)
    assert (found.wrong, found.wasted_gpu_hours) == (0, 0.0)
    assert found.right == found.due == 2


def test_retraining_on_every_drift_wastes_hours(outcome: loop.Outcome) -> None:
    assert scores.on_every_drift(outcome).wasted_gpu_hours > 0


def test_the_kind_of_each_fault_is_named(outcome: loop.Outcome) -> None:
    for one in outcome.pipelines:
        if one.fault.name in faults.KINDS:
            came = scores.came_of(outcome, one)
            assert came is not None
            assert came.likely is not None
            assert came.likely.kind is faults.KINDS[one.fault.name]


def test_what_a_deployment_broke_is_rolled_back() -> None:
    outcome = loop.World(8003).run()
    (broken,) = [one for one in outcome.pipelines if one.is_deployed]
    (done,) = outcome.roll_backs
    assert (done.pipeline, done.is_right) == (broken.name, True)
    assert broken.windows_broken < broken.fault.ends - broken.fault.begins
    assert {figure.holds for figure in _mending.figures([outcome])} == {True}


def test_a_dip_beside_a_deployment_is_not_rolled_back() -> None:
    """It was over when the decision came: world 8000 has one beside a routine deployment."""
    outcome = loop.World(8000).run()
    (dip,) = [one for one in outcome.pipelines if one.fault.name == "passing dip"]
    assert dip.name not in {each.pipeline for each in outcome.roll_backs}


def test_faults_beside_a_deployment_alternate() -> None:
    drawn = faults.beside(np.random.default_rng(1), 4)
    kinds = [faults.KINDS[fault.name] for fault in drawn]
    assert kinds == [CauseKind.MODEL, CauseKind.CODE] * 2
    assert [fault.routine == 0 for fault in drawn] == [True, False] * 2


def test_a_harmless_deployment_neither_hides_a_fault_nor_keeps_its_blame() -> None:
    """In world 0 both concepts are taken for faults of the deployment beside them at first."""
    (played,) = loop.play([0], faults.beside)
    found = list(_mending.beside([played]))
    assert [figure.value for figure in found] == [1.0, 1.0, 1.0]
    assert found[-1].name.endswith("of 2")
    assert not list(_mending.followed([]))
