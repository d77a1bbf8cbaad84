"""Records of trainings to MLflow's tracking API 2.0, by HTTP alone: MLflow need not be installed.

Each training becomes one run of the experiment that is named as the pipeline. A training that is
there already, known by its attempt, is not exported again. https://mlflow.org/docs/latest/rest-api
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import quote, urlsplit

import httpx

from engine.model.errors import RefusedError, RetryableError, UnreachableError
from engine.model.specs import is_scalar
from executors.training.tracking.experiments import NAME, Experiment

_API = "/api/2.0/mlflow"
_ATTEMPT = "berth.attempt"
_SECONDS_MAX = 20.0
_VALUE_CHARACTERS_MAX = 500
_PARAMETERS_MAX = 100
_METRICS_MAX = 1_000
_TAGS_MAX = 100
_SERVER_FAULT, _TOO_MANY = 500, 429
_ARTIFACTS = "mlflow-artifacts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """A training to export: its record, and which attempt of which run it was.

    started_at, ended_at: seconds since 1970.
    """

    pipeline: str
    run: str
    attempt: str
    started_at: float
    ended_at: float
    experiment: Experiment


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """Where a training stands in MLflow."""

    task: str
    run: str
    url: str


class Tracker:
    """MLflow at an address. Not for several threads.

    environment: the login, by MLflow's own names: `MLFLOW_TRACKING_TOKEN`, or
    `MLFLOW_TRACKING_USERNAME` and `MLFLOW_TRACKING_PASSWORD`.
    """

    def __init__(self, address: str, environment: Mapping[str, str]) -> None:
        parts = urlsplit(address)
        if parts.scheme not in {"http", "https"} or not parts.netloc:
            fix = "write http://HOST:PORT of a tracking server"
            raise RefusedError(f"{address!r} is no address of MLflow", fix=fix)
        self._address = address.rstrip("/")
        token = environment.get("MLFLOW_TRACKING_TOKEN")
        user = environment.get("MLFLOW_TRACKING_USERNAME")
        self._http = httpx.Client(
            base_url=self._address,
            headers={"Authorization": f"Bearer {token}"} if token else {},
            auth=(user, environment.get("MLFLOW_TRACKING_PASSWORD", "")) if user else None,
            timeout=_SECONDS_MAX,
            trust_env=False,
        )
        self._experiments: dict[str, str] = {}

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def export(self, training: Training) -> Exported:
        """Export a training, once; return where it is.

        Raises:
            UnreachableError: when MLflow does not answer; export it again later.
            RefusedError: when it refuses us or what we send.
        """
        experiment = self._experiment(training.pipeline)
        found = self._known(experiment, training.attempt)
        if found is None:
            found = self._create(experiment, training)
            self._log(str(found["run_id"]), training)
            self._keep(found, training)
            # A run is finished last, so that one by halves is seen and done again.
            finished = {"status": "FINISHED", "end_time": _milliseconds(training.ended_at)}
            self._ask("runs/update", {"run_id": found["run_id"], **finished})
        url = f"{self._address}/#/experiments/{experiment}/runs/{found['run_id']}"
        return Exported(task=training.experiment.task, run=str(found["run_id"]), url=url)

    def _experiment(self, name: str) -> str:
        """Return the id of an experiment, made where there is none."""
        if name not in self._experiments:
            path = f"{_API}/experiments/get-by-name?experiment_name={quote(name)}"
            answer = self._send("GET", path)
            if answer.status_code == httpx.codes.NOT_FOUND:
                made = self._ask("experiments/create", {"name": name})
                self._experiments[name] = str(made["experiment_id"])
            else:
                found = cast("dict[str, Any]", self._checked(answer, path)["experiment"])
                self._experiments[name] = str(found["experiment_id"])
        return self._experiments[name]

    def _known(self, experiment: str, attempt: str) -> dict[str, Any] | None:
        """Return the finished run of an attempt; one by halves is deleted."""
        wanted = f"tags.`{_ATTEMPT}` = '{attempt}'"
        asked = {"experiment_ids": [experiment], "filter": wanted, "max_results": 10}
        for run in self._ask("runs/search", asked).get("runs", ()):
            info = cast("dict[str, Any]", run["info"])
            if info.get("status") == "FINISHED":
                return info
            self._ask("runs/delete", {"run_id": info["run_id"]})
        return None

    def _create(self, experiment: str, training: Training) -> dict[str, Any]:
        tags = {
            "mlflow.runName": f"{training.run} {training.experiment.task}",
            "mlflow.source.type": "JOB",
            "mlflow.source.git.commit": training.experiment.code.get("commit", ""),
            _ATTEMPT: training.attempt,
            "berth.run": training.run,
        }
        made = self._ask(
            "runs/create",
            {
                "experiment_id": experiment,
                "run_name": tags["mlflow.runName"],
                "start_time": _milliseconds(training.started_at),
                "tags": _pairs(tags),
            },
        )
        return cast("dict[str, Any]", made["run"]["info"])

    def _log(self, run: str, training: Training) -> None:
        """Log metrics, parameters, and as tags data, code and environment."""
        record = training.experiment
        at = _milliseconds(training.ended_at)
        metrics = [
            {"key": key, "value": value, "timestamp": at, "step": 0}
            for key, value in _numbers(record.metrics)
        ]
        said = {
            f"{part}.{name}": v for part, values in _tagged(record) for name, v in values.items()
        }
        numbers = dict(_numbers(record.metrics))
        said |= {f"output.{k}": _text(v) for k, v in record.metrics.items() if k not in numbers}
        for some in _batches(metrics, _METRICS_MAX):
            self._ask("runs/log-batch", {"run_id": run, "metrics": list(some)})
        for some in _batches(_pairs(record.parameters), _PARAMETERS_MAX):
            self._ask("runs/log-batch", {"run_id": run, "params": list(some)})
        for some in _batches(_pairs(said), _TAGS_MAX):
            self._ask("runs/log-batch", {"run_id": run, "tags": list(some)})

    def _keep(self, info: Mapping[str, Any], training: Training) -> None:
        """Keep the record as an artefact, where MLflow takes artefacts itself."""
        place = urlsplit(str(info.get("artifact_uri", "")))
        if place.scheme != _ARTIFACTS:
            return
        path = f"/api/2.0/mlflow-artifacts/artifacts{place.path}/{NAME}"
        content = json.dumps(training.experiment.flat(), indent=1, sort_keys=True).encode()
        self._checked(self._send("PUT", path, content=content), path)

    def _ask(self, verb: str, document: Mapping[str, Any]) -> dict[str, Any]:
        path = f"{_API}/{verb}"
        return self._checked(self._send("POST", path, document=document), path)

    def _send(
        self,
        method: str,
        path: str,
        *,
        document: Mapping[str, Any] | None = None,
        content: bytes | None = None,
    ) -> httpx.Response:
        try:
            return self._http.request(method, path, json=document, content=content)
        except httpx.HTTPError as error:
            message = f"MLflow at {self._address!r} does not answer: {error}"
            raise UnreachableError(message, fix="wait until it is up, then repeat") from error

    def _checked(self, answer: httpx.Response, path: str) -> dict[str, Any]:
        """Return what was answered.

        Raises:
            UnreachableError: when it failed on its side.
            RefusedError: when it refused; with its words.
        """
        if answer.is_success:
            try:
                found: object = answer.json() if answer.content else {}
            except ValueError:
                found = None
            if isinstance(found, dict):
                return cast("dict[str, Any]", found)
        said = answer.text[:_VALUE_CHARACTERS_MAX]
        message = f"MLflow at {self._address!r} answers {answer.status_code} to {path}: {said}"
        is_theirs = answer.status_code >= _SERVER_FAULT or answer.status_code == _TOO_MANY
        kind: type[RetryableError | RefusedError] = UnreachableError if is_theirs else RefusedError
        raise kind(message, fix="check its address and your login")


def _numbers(metrics: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Yield the metrics that MLflow takes as such: finite numbers."""
    for name, value in sorted(metrics.items()):
        if isinstance(value, bool | int | float) and is_scalar(value):
            yield name, float(value)


def _batches(entries: Sequence[dict[str, Any]], size: int) -> Iterator[Sequence[dict[str, Any]]]:
    for first in range(0, len(entries), size):
        yield entries[first : first + size]


def _tagged(record: Experiment) -> tuple[tuple[str, Mapping[str, str]], ...]:
    return (("data", record.data), ("code", record.code), ("environment", record.environment))


def _pairs(values: Mapping[str, Any]) -> Sequence[dict[str, str]]:
    """Return entries as MLflow wants them; it takes no empty and no long ones."""
    named = ((name, _text(value)) for name, value in sorted(values.items()))
    return [{"key": name, "value": text[:_VALUE_CHARACTERS_MAX]} for name, text in named if text]


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
