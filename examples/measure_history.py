"""Measures the built-in tasks on this machine and writes `examples/data/run-history.csv`.

    python examples/measure_history.py [--to FILE] [--repeats N]

Every task runs as its executor would run it, in a process of its own with one thread, on the
heart-disease records: as they are, and drawn with replacement (seeded) to larger tables.
Seconds, cores and memory are what the operating system counted. A run takes a few minutes.

These tasks keep one core busy, so a run that got much less of it shared the machine with something
else, and says little about the task. Of each configuration the least disturbed run is kept, and
every other that was hardly disturbed.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.model.identifiers import PipelineName, TaskName
from engine.model.profiles import RunRecord
from engine.model.specs import Scalar, TaskKind
from forecasting import history

EXAMPLES = Path(__file__).resolve().parent
HEART = EXAMPLES / "data" / "heart-disease.csv"
SCHEMA = {"age": "years", "trestbps": "mmHg", "chol": "mg/dL", "thalach": "bpm", "oldpeak": "mm"}
FAMILIES = ("knn", "tree", "forest", "svm")
SIZES = {303: (2, 4, 8, 16), 1_000: (4, 8), 3_000: (4, 8), 10_000: (4,)}
"""Rows to the numbers of trials that are measured with them."""
KIBIBYTES_PER_GIB = 1 << 20
TIME_LIMIT_SECONDS = 300
HARDLY_DISTURBED = 0.9
"""Share of a core that a run got."""


@dataclass(frozen=True, slots=True)
class Workshop:
    """A folder in which tasks of one pipeline run one after another."""

    folder: Path
    pipeline: str

    def run(
        self, name: str, kind: TaskKind, spec: Mapping[str, object], after: Sequence[str] = ()
    ) -> RunRecord:
        """Run one task to its end and return what it took."""
        home = self.folder / name
        shutil.rmtree(home, ignore_errors=True)
        for sub in ("inputs", "outputs"):
            (home / sub).mkdir(parents=True)
        for upstream in after:
            (home / "inputs" / upstream).symlink_to(self.folder / upstream / "outputs")
        outputs = {upstream: self.outputs(upstream) for upstream in after}
        document = {
            "task": {"name": name, "kind": kind.value, "after": list(after), **spec},
            "pipeline": self.pipeline,
            "seed": 7,
            "overrides": {},
            "upstream": outputs,
        }
        (home / "parameters.json").write_text(json.dumps(document), encoding="utf-8")
        seconds, usage = self._measure(home, kind)
        sizes = {
            key: value
            for upstream in ("etl", "features")
            if upstream != name and (self.folder / upstream).is_dir()
            for key, value in self.outputs(upstream).items()
            if key in {"rows", "columns"}
        }
        return _record(self.pipeline, name, kind, {**_known(spec), **sizes}, seconds, usage, home)

    def outputs(self, name: str) -> dict[str, Scalar]:
        """Return what a task wrote to its `outputs.json`."""
        found: dict[str, Scalar] = json.loads(
            (self.folder / name / "outputs" / "outputs.json").read_text(encoding="utf-8")
        )
        return found

    def _measure(self, home: Path, kind: TaskKind) -> tuple[float, tuple[float, float]]:
        """Return seconds, and processor seconds with the largest memory in GiB."""
        threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        environment = os.environ | dict.fromkeys(threads, "1")
        environment |= {
            "BERTH_INPUTS": str(home / "inputs"),
            "BERTH_OUTPUTS": str(home / "outputs"),
            "BERTH_PARAMETERS": str(home / "parameters.json"),
            "BERTH_SIGNALS": str(home / "signals.jsonl"),
            "BERTH_FOLDER": str(self.folder),
        }
        started = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "executors.tasks", kind.value],
            env=environment,
            cwd=EXAMPLES.parent,
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        # Popen must know that its child is gone, or it warns of one left behind.
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode or seconds > TIME_LIMIT_SECONDS:
            raise SystemExit(f"{kind.value} ended with {process.returncode} in {home}")
        processor = usage.ru_utime + usage.ru_stime
        return seconds, (processor, usage.ru_maxrss / KIBIBYTES_PER_GIB)


def _known(spec: Mapping[str, object]) -> dict[str, Scalar]:
    """Return what a run record keeps of a spec."""
    known: dict[str, Scalar] = {}
    if isinstance(spec.get("trials"), int):
        known["trials"] = int(str(spec["trials"]))
    if isinstance(spec.get("volume_gib"), float):
        known["volume_gib"] = float(str(spec["volume_gib"]))
    model = spec.get("model")
    if isinstance(model, list):
        known["model"] = "+".join(str(family) for family in model)
    return known


def _record(
    pipeline: str,
    name: str,
    kind: TaskKind,
    attributes: Mapping[str, Scalar],
    seconds: float,
    usage: tuple[float, float],
    home: Path,
) -> RunRecord:
    """Return a measured run; a task that is measured here has the speed 1 by definition."""
    processor, memory_gib = usage
    written = sum(path.stat().st_size for path in home.rglob("*") if path.is_file())
    return RunRecord(
        pipeline=PipelineName(pipeline),
        task=TaskName(name),
        kind=kind,
        attributes=attributes,
        ended_at=time.time(),
        duration_seconds=seconds,
        cpu_cores_mean=processor / seconds,
        memory_gib_peak=memory_gib,
        disk_gib=written / 2**30,
    )


def table(rows: int, target: Path) -> None:
    """Write so many heart-disease records: the published ones, or drawn from them with a seed."""
    with HEART.open(encoding="utf-8-sig", newline="") as file:
        header, *records = list(csv.reader(file))
    draw = random.Random(rows)  # noqa: S311 - a larger table, nothing secret
    chosen = records if rows == len(records) else draw.choices(records, k=rows)
    with target.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *chosen])


def measure(rows: int, trials: Sequence[int], folder: Path) -> list[RunRecord]:
    """Return the runs of one pipeline on a table of so many rows."""
    pipeline = "heart" if rows == min(SIZES) else f"heart-{rows}"
    shop = Workshop(folder, pipeline)
    table(rows, folder / "table.csv")
    volume = (folder / "table.csv").stat().st_size / 2**30
    etl = {"reads": "table.csv", "target": "target", "schema": SCHEMA, "volume_gib": volume}
    found = [
        shop.run("etl", TaskKind.ETL, etl),
        shop.run("features", TaskKind.FEATURES, {}, ["etl"]),
    ]
    for count in trials:
        for family in FAMILIES:
            spec = {"model": [family], "trials": count}
            found.append(shop.run(family, TaskKind.TRAIN, spec, ["features"]))
    gates = {"gates": {"quality_at_least": 0.5, "outputs": ["quality"]}}
    found.append(shop.run("compare", TaskKind.EVALUATE, gates, FAMILIES))
    found += [
        shop.run(f"package-{family}", TaskKind.PACKAGE, {}, ["compare", family])
        for family in FAMILIES
    ]
    return found


def undisturbed(found: Sequence[RunRecord]) -> list[RunRecord]:
    """Return the least disturbed run of each configuration, and others hardly disturbed."""
    best: dict[str, RunRecord] = {}
    for record in found:
        key = f"{record.pipeline} {record.task} {sorted(record.attributes.items())}"
        if key not in best or record.cpu_cores_mean > best[key].cpu_cores_mean:
            best[key] = record
    least = {id(record) for record in best.values()}
    return [
        record
        for record in found
        if id(record) in least or record.cpu_cores_mean >= HARDLY_DISTURBED
    ]


def main(arguments: Sequence[str]) -> None:
    """Measure all sizes and write the history."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--to", type=Path, default=EXAMPLES / "data" / "run-history.csv")
    parser.add_argument("--repeats", type=int, default=2)
    given = parser.parse_args(arguments)
    found: list[RunRecord] = []
    for _ in range(given.repeats):
        for rows, trials in SIZES.items():
            with tempfile.TemporaryDirectory() as folder:
                found += measure(rows, trials, Path(folder))
    kept = undisturbed(found)
    given.to.write_text(history.write_history(kept), encoding="utf-8")
    sys.stdout.write(f"{len(kept)} of {len(found)} runs written to {given.to}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
