"""The looks that settle causes, made of the store, the fleet, artefacts and model servers.

All of them only read, and are bounded in time.
"""

from __future__ import annotations

import json
from typing import Any, cast

from alarms.detection import schemas
from api.wiring import doctor
from api.wiring.parts import Parts
from engine.model.checks import Check, CheckKind, Verdict
from engine.model.dispatches import Deployment
from engine.model.errors import DamagedError, NotFoundError, UnreachableError
from engine.model.records import ATTEMPTS, DEPLOYMENTS, PIPELINES
from engine.model.specs import TaskKind
from engine.watching.looks import Answer, StoreLooks
from executors.local import FolderArtifacts
from executors.packaging import images
from executors.packaging.images import Image
from executors.packaging.registry import OciRegistry
from executors.packaging.repository.image import golden

_SECONDS_MOST = 5.0
_MOST_FAIL = 0.8
"""Part of the requests that fail, from which right answers to the examples are hardly chance."""


class EngineChecks:
    """Takes the looks of an engine. Port `Checker`."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._looks = StoreLooks(parts.ledger, parts.clock, parts.settings.clock_factor)
        self._artifacts = FolderArtifacts(parts.settings.home / "artifacts")
        self._by_kind = {
            CheckKind.SCHEMA: self._schema,
            CheckKind.ROWS: self._looks.rows,
            CheckKind.CLUSTER: self._cluster,
            CheckKind.GOLDEN: self._golden,
            CheckKind.QUALITY: self._looks.quality,
            CheckKind.REQUESTS: self._looks.requests,
            CheckKind.CONFIGURATION: self._looks.configuration,
        }

    def look(self, check: Check) -> Answer:
        """Return what a check says of its cause, and what was seen."""
        return self._by_kind[check.kind](check)

    def _cluster(self, check: Check) -> Answer:
        """Ask a cluster whether it answers."""
        name = check.subject.partition(":")[2]
        for cluster in self._parts.fleet.fleet().clusters:
            if cluster.name != name:
                continue
            if cluster.executor == "kubernetes":
                return self._kubernetes(name)
            if cluster.reachable:
                return Verdict.DENIES, f"{name} answers"
            return Verdict.CONFIRMS, f"{name} does not answer"
        return Verdict.OPEN, f"{name} is no cluster of the fleet"

    def _kubernetes(self, name: str) -> Answer:
        looks = [
            one for one in doctor.kubernetes_findings(self._parts) if one.name == f"cluster {name}"
        ]
        wrong = [one.message for one in looks if not one.fine]
        if wrong:
            return Verdict.CONFIRMS, f"{name}: {'; '.join(wrong)}"
        return Verdict.DENIES, f"{name}: {'; '.join(one.message for one in looks)}"

    def _schema(self, check: Check) -> Answer:
        """Compare what was delivered last with what came before; then the units of rows."""
        pipeline, _, task = check.subject.partition(":")[2].partition("/")
        etl = task or self._etl_of(pipeline)
        delivered = self._delivered(f"task:{pipeline}/{etl}|{schemas.NAME}", check.since)
        if delivered is not None and delivered[0] is Verdict.CONFIRMS:
            return delivered
        kept = self._kept(pipeline, etl, check.since)
        return kept if delivered is None or kept[0] is Verdict.CONFIRMS else delivered

    def _etl_of(self, pipeline: str) -> str:
        stored = self._parts.ledger.get(PIPELINES, pipeline)
        tasks = stored.value.tasks if stored else ()
        return next((task.name for task in tasks if task.kind is TaskKind.ETL), "")

    def _delivered(self, series: str, since: float) -> Answer | None:
        """Compare columns and types of deliveries, also of those that their task refused.

        Held against each other are the newest one and the last before the trouble began; None
        where one of them is not known.
        """
        told = self._looks.newest(series)
        former = [one for one in told if one.at < since]
        if not former or former[0] is told[0]:
            return None
        before, newest = (
            schemas.read(one.labels.get(schemas.LABEL, "")) for one in (former[0], told[0])
        )
        if not before or not newest:
            return None
        changed = schemas.changes(before, newest)
        if changed:
            return Verdict.CONFIRMS, f"the newest delivery differs: {schemas.told(changed)}"
        return Verdict.DENIES, f"{len(newest)} columns with their types are as before it began"

    def _kept(self, pipeline: str, etl: str, since: float) -> Answer:
        """Compare columns and units of the newest rows with those of the run before."""
        kept = [
            (run.artifact, run.ended_at or 0.0)
            for run in self._looks.task_runs(pipeline, etl)
            if run.artifact is not None
        ]
        if len(kept) < 2:  # noqa: PLR2004 - one to look at, one to compare with
            return Verdict.OPEN, f"rows of {len(kept)} runs are kept, too few to compare"
        newest, before = (
            columns_of(self._artifacts.read(digest, "schema.json")) for digest, _ in kept[:2]
        )
        found = schema_changes(before, newest)
        if found:
            return Verdict.CONFIRMS, f"the newest schema differs: {schemas.told(found)}"
        if kept[0][1] < since:
            return Verdict.OPEN, "the newest rows are from before it began"
        return Verdict.DENIES, f"{len(newest)} columns with their units are as in the run before"

    def _golden(self, check: Check) -> Answer:
        """Send the examples of the package that serves to its server.

        A deployment that is slow, or lets some requests fail, answers them right as well.
        """
        pipeline = check.subject.partition(":")[2]
        stored = self._parts.ledger.get(DEPLOYMENTS, pipeline)
        if stored is None or stored.value.serving is None or not stored.value.endpoint:
            return Verdict.OPEN, f"nothing serves {pipeline}"
        served = stored.value
        example = example_of(self._image(served))
        try:
            seconds = golden.compare(served.endpoint, pipeline, example, seconds_most=_SECONDS_MOST)
        except DamagedError as error:
            return Verdict.CONFIRMS, error.message
        except UnreachableError as error:
            # What runs in a cluster may be reached from inside only.
            return (Verdict.CONFIRMS if self._is_local(served) else Verdict.OPEN), error.message
        count = len(cast("list[object]", example["rows"]))
        told = f"{count} example requests are answered right in {seconds:.2f} s"
        failing = self._looks.failing(check)
        if failing is not None and failing >= _MOST_FAIL:
            return (
                Verdict.DENIES,
                f"{told}, while {100 * failing:.0f} % of all requests fail",
            )
        return Verdict.OPEN, f"{told}; what is slow or fails now and then may do so too"

    def _image(self, served: Deployment) -> Image:
        registry = OciRegistry(self._parts.settings.home / "models")
        if served.serving is None or served.serving not in registry.images(served.pipeline):
            raise NotFoundError(f"the package {served.serving} of {served.pipeline} is not kept")
        return images.read_image(registry.layout(served.pipeline), served.serving)

    def _is_local(self, served: Deployment) -> bool:
        attempt = self._parts.ledger.get(ATTEMPTS, served.attempt_id or "")
        return attempt is not None and attempt.value.executor == "local"


def columns_of(data: bytes) -> dict[str, str]:
    """Return the unit of each column, "" for one without.

    Raises:
        DamagedError: when there are none: tasks of other people write what they like.
    """
    try:
        columns = json.loads(data)["columns"]
        return {str(one["name"]): str(one.get("unit", "")) for one in columns}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedError(
            "'schema.json' names no columns",
            fix='let the etl task write {"columns": [{"name": ..., "unit": ...}]}',
        ) from error


def schema_changes(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """Return, in words, which columns are new, gone, or have another unit."""
    found = [f"{name} is new" for name in sorted(after.keys() - before.keys())]
    found += [f"{name} is gone" for name in sorted(before.keys() - after.keys())]
    return found + [
        f"{name} is in {after[name] or 'no unit'}, was in {before[name] or 'none'}"
        for name in sorted(before.keys() & after.keys())
        if before[name] != after[name]
    ]


def example_of(image: Image) -> dict[str, Any]:
    """Return the examples of a package, with rows in the units in which requests arrive."""
    example: dict[str, Any] = dict(image.document("example.json"))
    factors = [float(one.get("factor", 1.0)) for one in image.metadata["features"]]
    example["rows"] = [
        [
            None if value is None else value / factor
            for value, factor in zip(row, factors, strict=True)
        ]
        for row in example["rows"]
    ]
    return example
