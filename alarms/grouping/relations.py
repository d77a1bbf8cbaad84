"""How strongly two alarms belong together, and why: pure functions of labels and topology."""

from __future__ import annotations

from dataclasses import dataclass

from alarms.grouping.nature import Nature, cluster_of, nature, pipeline_of
from alarms.grouping.topology import Topology
from engine.model.alarms import Alarm


@dataclass(frozen=True, slots=True, order=True)
class Relation:
    """A strength between 0 (unrelated) and 1 (the same series), and the reason in words."""

    strength: float
    because: str = ""


UNRELATED = Relation(0.0)
STRONG = 0.8
"""From here on two groups whose alarms are so related become one."""


def relation(one: Alarm, other: Alarm, topology: Topology) -> Relation:
    """Return how two alarms are related. Symmetric."""
    if one.series == other.series:
        return Relation(1.0, f"all speak of {one.subject}")
    natures = {nature(one), nature(other)}
    if one.subject == other.subject and natures != {Nature.MACHINE, Nature.DATA}:
        return Relation(0.95, f"all speak of {one.subject}")
    if natures == {Nature.MACHINE, Nature.DATA}:
        # A machine that fails does not move a distribution; two events may coincide.
        return UNRELATED
    if Nature.MACHINE in natures:
        return _by_machine(one, other, topology, both=len(natures) == 1)
    return _by_pipeline(one, other, topology, both=len(natures) == 1)


def _by_machine(one: Alarm, other: Alarm, topology: Topology, *, both: bool) -> Relation:
    here, there = cluster_of(one), cluster_of(other)
    if here and here == there:
        return Relation(0.9 if both else 0.6, f"all share the cluster {here}")
    if not here or not there:
        pipeline = pipeline_of(one)
        if pipeline and pipeline == pipeline_of(other):
            return Relation(0.5, f"all share the pipeline {pipeline}")
        return UNRELATED
    if both and topology.distance(f"cluster:{here}", f"cluster:{there}") == 1:
        near, far = sorted((here, there))
        return Relation(0.8, f"the clusters {near} and {far} stand in one region")
    return UNRELATED


def _by_pipeline(one: Alarm, other: Alarm, topology: Topology, *, both: bool) -> Relation:
    here, there = pipeline_of(one), pipeline_of(other)
    if here and here == there:
        feature = one.labels.get("feature", "")
        if feature and feature == other.labels.get("feature"):
            return Relation(0.95, f"all speak of the feature {feature}")
        return Relation(0.85 if both else 0.7, f"all share the pipeline {here}")
    if here and there and topology.distance(f"pipeline:{here}", f"pipeline:{there}") == 1:
        near, far = sorted((here, there))
        return Relation(0.8, f"the pipelines {near} and {far} read one another's data")
    here, there = cluster_of(one), cluster_of(other)
    if Nature.DATA not in {nature(one), nature(other)} and here and here == there:
        return Relation(0.8, f"all share the cluster {here}")
    return UNRELATED
