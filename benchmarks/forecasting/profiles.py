"""Durations as profiles tell them, with and without what is learned of the last runs.

The path of the product: run logs become run records, `learn` replays them as it does at night, and
`TaskForecaster.profile` tells runs of the last 30 % from the records that had ended by then. Each
log of requests (`forecasting/*requests*.csv*`) has a task for each type of request, each log of
jobs (`forecasting/jobs-*.csv*`) one for each user. The same profile without learned models, which
chooses among own, last and like runs, trends, regression and the preset, is the anchor.
"""

import bisect
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks import frame
from benchmarks.forecasting import _duration
from engine.model.fleet import Fleet
from engine.model.identifiers import PipelineName, TaskName
from engine.model.profiles import Method, Profile, RunRecord
from engine.model.specs import PipelineSpec, TaskKind, TaskSpec
from forecasting import LearningStore, TaskForecaster, learn

SEED = 1
LEARNED = 0.7
NIGHTS = 4
"""Times that models are learned anew in the scored part, evenly."""
ASKED = 600
QUICK_ASKED = 60
READ = 4_000
"""Newest records that a profile is given; it reads the last 2,000 of its kind."""
NO_FLEET = Fleet(clusters=())


def run(context: frame.Context) -> Iterator[frame.Figure]:
    """Yields the figures of every log."""
    asked = QUICK_ASKED if context.quick else ASKED
    for path in context.files("forecasting/*requests*.csv*"):
        yield from _log(path, [_record(run, "type") for run in _duration.requests(path)], asked)
    for path in context.files("forecasting/jobs-*.csv*"):
        yield from _log(path, [_record(run, "owner") for run in _duration.jobs(path)], asked)


def _record(run: _duration.Run, task: str) -> RunRecord:
    """Returns a run as the store has it."""
    attributes = {name: value for name, value in run.attributes.items() if name != task}
    return RunRecord(
        pipeline=PipelineName("log"),
        task=TaskName(str(run.attributes[task])),
        kind=TaskKind.EVALUATE,
        attributes=attributes,
        ended_at=run.submitted_at + run.seconds,
        duration_seconds=run.seconds,
        cpu_cores_mean=1.0,
        memory_gib_peak=1.0,
    )


def _log(path: Path, records: list[RunRecord], asked: int) -> Iterator[frame.Figure]:
    """Yields the figures of one log."""
    by_end = sorted(records, key=lambda record: record.ended_at)
    ends = [record.ended_at for record in by_end]
    scored = records[int(LEARNED * len(records)) :]
    chosen = scored[:: max(1, len(scored) // asked)]
    bare, learned = TaskForecaster(), [TaskForecaster()]
    pairs: list[tuple[Profile, Profile]] = []
    spent = {"learn": 0.0, "profile": 0.0}
    with TemporaryDirectory() as folder:
        store = LearningStore(Path(folder))
        for place, record in enumerate(chosen):
            began = record.ended_at - record.duration_seconds
            known = by_end[: bisect.bisect_right(ends, began)]
            if place % max(1, len(chosen) // NIGHTS) == 0:
                start = time.process_time()
                learn(store, known, now=began, seed=SEED)
                spent["learn"] = max(spent["learn"], time.process_time() - start)
                learned[0] = TaskForecaster(store.in_force)
            without = _profile(bare, record, known[-READ:])
            start = time.process_time()
            with_models = _profile(learned[0], record, known[-READ:])
            spent["profile"] += time.process_time() - start
            pairs.append((without, with_models))
    name = path.name.split(".")[0]
    yield from _compared(name, chosen, pairs)
    yield frame.informs(f"{name}: one night's learning", spent["learn"], unit="CPU s")
    each = 1_000.0 * spent["profile"] / len(chosen)
    yield frame.informs(f"{name}: one profile", each, unit="CPU ms")


def _profile(forecaster: TaskForecaster, record: RunRecord, known: Sequence[RunRecord]) -> Profile:
    """Returns what is said of a run before it begins."""
    task = TaskSpec(name=record.task, kind=record.kind, parameters=dict(record.attributes))
    pipeline = PipelineSpec(name=record.pipeline, tasks=(task,))
    return forecaster.profile(pipeline, task, NO_FLEET, known)


def _compared(
    name: str, chosen: Sequence[RunRecord], pairs: Sequence[tuple[Profile, Profile]]
) -> Iterator[frame.Figure]:
    """Yields errors and coverage with learned models over those without."""
    actual = np.array([record.duration_seconds for record in chosen])
    told = np.array(
        [
            [profile.duration_seconds.values for profile in pair if profile.duration_seconds]
            for pair in pairs
        ]
    )
    median, p90 = told[:, :, 0], told[:, :, 2]
    errors = np.abs(np.log(np.maximum(median, 1.0) / np.maximum(actual, 1.0)[:, None])).mean(axis=0)
    misses = actual[:, None, None] - told
    levels = np.array([0.5, 0.8, 0.9, 0.95, 0.99])
    pinball = np.maximum(levels * misses, (levels - 1.0) * misses).mean(axis=(0, 2))
    covered = 100.0 * (actual[:, None] <= p90).mean(axis=0)
    used = 100.0 * np.mean([with_.evidence.method is Method.TIMED for _, with_ in pairs])
    said = f"without: {errors[0]:.3f}"
    yield frame.at_most(
        f"{name}: log-error over that without", errors[1] / errors[0], 1.0, anchor=said
    )
    said = f"without: {pinball[0]:.2f} s"
    yield frame.at_most(
        f"{name}: pinball over that without", pinball[1] / pinball[0], 1.0, anchor=said
    )
    said = f"without: {covered[0]:.1f} %"
    yield frame.informs(f"{name}: P90 coverage", covered[1], unit="%", anchor=said)
    yield frame.informs(f"{name}: profiles told by trees over last runs", used, unit="%")
