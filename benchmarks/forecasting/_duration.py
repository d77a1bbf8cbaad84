"""Run logs as lists of runs, and their replay in time: only what had ended is known."""

import heapq
import time
from collections import defaultdict, deque
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from engine.model.profiles import Quantiles
from engine.model.specs import Scalar
from forecasting.profiles.durations import DurationForecaster
from forecasting.profiles.runlog import Submission


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run of a log: what was stated at submission, and how long it took."""

    name: str
    submitted_at: float
    seconds: float
    attributes: dict[str, Scalar]
    owner: str = ""
    wall_seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What was forecast for a run before it started; anchors in seconds."""

    run: Run
    quantiles: Quantiles
    last_two: float
    last_five: float


def requests(path: Path) -> list[Run]:
    """Returns the succeeded requests of a file in time order."""
    table = pd.read_csv(path)
    table = table[(table.predict_status == "SUCCEED") & (table.exec_time_seconds >= 0)]
    at = pd.to_datetime(table.gmt_create).astype("datetime64[ns]").astype("int64") / 1e9
    table = table.assign(at=at).sort_values("at", kind="stable")
    return [
        Run(
            name=str(place),
            submitted_at=float(row["at"]),
            seconds=float(row["exec_time_seconds"]),
            owner=str(row["groupId"]),
            attributes={
                "type": str(row["predict_type"]),
                "owner": str(row["groupId"]),
                "model": str(row["checkpoint_model_version_id"]),
                "images": _known(row["num_images_per_prompt"]),
                "steps": _known(row["num_inference_steps"]),
                "adapters": _known(row["num_lora"]),
                "prompt": _known(row["prompt_length"]),
                "negative_prompt": _known(row["negative_prompt_length"]),
                "is_text": float(row["predict_type"] == "TXT_2_IMG"),
            },
        )
        for place, row in enumerate(table.to_dict("records"))
    ]


def jobs(path: Path) -> list[Run]:
    """Returns the jobs of a file in time order; what was not stated counts as 0."""
    table = pd.read_csv(path)
    table = table.assign(at=table.interval.fillna(0.0).cumsum())
    # A clock that went backwards measured nothing.
    table = table[table.run_time >= 0]
    for column in ("gpu_num", "cpu_num", "node_num", "wall_time"):
        given = table[column] if column in table else pd.Series(0.0, index=table.index)
        table = table.assign(**{column: given.fillna(0.0)})
    return [
        Run(
            name=str(place),
            submitted_at=float(row["at"]),
            seconds=float(row["run_time"]),
            owner=str(row["user"]),
            wall_seconds=float(row["wall_time"]),
            attributes={
                "owner": str(row["user"]),
                "gpus": float(row["gpu_num"]),
                "cpus": float(row["cpu_num"]),
                "nodes": float(row["node_num"]),
                "wall_seconds": float(row["wall_time"]),
                "hour": float(row["at"] // 3_600 % 24),
            },
        )
        for place, row in enumerate(table.to_dict("records"))
    ]


def replay(
    runs: list[Run], forecaster: DurationForecaster, equal: tuple[str, ...], *, learn: int
) -> tuple[list[Outcome], dict[str, float]]:
    """Replays a log in time; returns the outcomes after the first `learn`, and what it took.

    Args:
        runs: In order of submission.
        forecaster: Is told of each end at its time, and fitted anew whenever that is due.
        equal: Attributes that make two runs equal for the anchor of the last five.
        learn: So many runs are learned from only; the forecaster is fitted after them.
    """
    anchors = _Anchors(equal)
    going: list[tuple[float, int]] = []
    outcomes: list[Outcome] = []
    spent = {"refit": 0.0, "predict": 0.0, "refits": 0.0}
    for place, run in enumerate(runs):
        start = time.process_time()
        while going and going[0][0] <= run.submitted_at:
            ended = runs[heapq.heappop(going)[1]]
            forecaster.update(ended.name, ended.seconds)
            anchors.add(ended)
        spent["predict"] += (time.process_time() - start) * (place >= learn)
        if place >= learn and (place == learn or forecaster.refit_due):
            start = time.process_time()
            forecaster.refit()
            spent["refit"] += time.process_time() - start
            spent["refits"] += 1
        start = time.process_time()
        quantiles = forecaster.predict(
            Submission(name=run.name, attributes=run.attributes, submitted_at=run.submitted_at)
        )
        spent["predict"] += (time.process_time() - start) * (place >= learn)
        if place >= learn:
            last_two, last_five = anchors.of(run)
            outcomes.append(
                Outcome(run=run, quantiles=quantiles, last_two=last_two, last_five=last_five)
            )
        heapq.heappush(going, (run.submitted_at + run.seconds, place))
    return outcomes, spent


class _Anchors:
    """Means of the last finished runs: of the owner (two), and of equal attributes (five)."""

    def __init__(self, equal: tuple[str, ...]) -> None:
        self._equal = equal
        self._groups: dict[object, deque[float]] = defaultdict(lambda: deque(maxlen=5))

    def add(self, run: Run) -> None:
        """Learns a finished run."""
        for key in self._keys(run):
            self._groups[key].append(run.seconds)

    def of(self, run: Run) -> tuple[float, float]:
        """Returns the mean of the owner's last two, and of the last five of equal attributes.

        Without such a run: of fewer equal attributes, and at last of any run.
        """
        owned = self._groups[("owner", run.owner)] or self._groups[()]
        two = float(np.mean(list(owned)[-2:])) if owned else 1.0
        for key in self._keys(run)[1:]:
            if self._groups[key]:
                return two, float(np.mean(self._groups[key]))
        return two, 1.0

    def _keys(self, run: Run) -> list[object]:
        """Returns the groups of a run, the owner's first, then from fine to coarse."""
        values = [run.attributes[name] for name in self._equal]
        return [("owner", run.owner), *(tuple(values[:n]) for n in range(len(values), -1, -1))]


def _known(value: float | str) -> float:
    """Returns a number, -1 for what is missing."""
    number = float(value)
    return number if np.isfinite(number) else -1.0
