"""Signals asked of a Prometheus server: its query API, by queries of a file.

API: https://prometheus.io/docs/prometheus/latest/querying/api/#range-queries.
"""

from __future__ import annotations

import dataclasses
import difflib
import logging
import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from alarms.intake.samples import Sample
from alarms.intake.series import Converter, SeriesLimits
from engine.model.errors import Fault, InvalidInputError, UnreachableError
from engine.model.signals import Layer, Shape, Signal
from engine.ports import Clock

TIMEOUT_SECONDS = 3.0
REST_SECONDS = 30.0
"""How long a server that did not answer is left alone: the loop waits for it each time."""
FAILS_SECONDS = 180.0
LOOK_BACK_SECONDS = 3_600.0
QUERIES_MOST = 200
SERIES_MOST = 2_000
"""Series of one query; the others are not watched."""
_KEYS = frozenset({"name", "query", "unit", "layer", "shape"})
_ERROR = 300
_QUERY_FAULTS = frozenset({400, 422})
"""Answers that are about one query: it is wrong, or it cannot be computed."""
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One query, whose series become signals of a name; layer "" is what labels say."""

    name: str
    query: str
    unit: str = ""
    layer: Layer | None = None
    shape: Shape = Shape.GAUGE


@dataclass(frozen=True, slots=True, kw_only=True)
class PrometheusSettings:
    """A server and what it is asked.

    step_seconds: time between two values of a series, and between two looks.
    """

    url: str
    token: str = ""
    step_seconds: float = 60.0
    queries: tuple[Query, ...] = ()


class _RefusedQueryError(UnreachableError):
    """The server answers, but not this query."""


class PrometheusSource:
    """Asks a server for what is new. Port `SignalSource`; the position is a time."""

    name = "prometheus"

    def __init__(
        self,
        settings: PrometheusSettings,
        clock: Clock,
        *,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._settings = settings
        self._clock = clock
        headers = {"Authorization": f"Bearer {settings.token}"} if settings.token else {}
        self._http = httpx.Client(timeout=TIMEOUT_SECONDS, headers=headers, transport=transport)
        self._converter = Converter(self.name, SeriesLimits())
        self._rests_until = -math.inf
        self._failed_at: float | None = None
        self._refused: frozenset[str] = frozenset()

    def read(self, position: str) -> tuple[Sequence[Signal], str]:
        """Return the values since a position, at most an hour back.

        A query that the server refuses is left out, and the others are asked all the same. A server
        that fails for longer than a restart takes is told as a signal, since none of its own
        would be.

        Raises:
            UnreachableError: when the server does not answer, or refuses every query.
        """
        now, step = self._clock.now(), self._settings.step_seconds
        ends = math.floor(now / step) * step
        begins = max(float(position) + step if position else ends, ends - LOOK_BACK_SECONDS)
        if begins > ends or now < self._rests_until:
            return [], position
        found: list[Signal] = []
        try:
            for query, samples in self._answers(begins, ends):
                signals, _ = self._converter.signals(samples, now)
                found += [_as_asked(signal, query) for signal in signals]
        except UnreachableError:
            self._rests_until = now + REST_SECONDS
            self._failed_at = now if self._failed_at is None else self._failed_at
            if now - self._failed_at < FAILS_SECONDS:
                raise
            return [_reachable(now, answers=False)], position
        if self._failed_at is not None:
            self._failed_at = None
            found.append(_reachable(now, answers=True))
        found.sort(key=lambda signal: (signal.at, signal.series))
        return found, repr(ends)

    def _answers(self, begins: float, ends: float) -> list[tuple[Query, list[Sample]]]:
        """Return what the server answers, query by query; each that it refuses is told once."""
        answers: list[tuple[Query, list[Sample]]] = []
        refusals: dict[str, _RefusedQueryError] = {}
        for query in self._settings.queries:
            try:
                answers.append((query, self._asked(query, begins, ends)))
            except _RefusedQueryError as error:
                refusals[query.name] = error
        for name in refusals.keys() - self._refused:
            _LOG.warning("%s", refusals[name].message)
        self._refused = frozenset(refusals)
        if refusals and not answers:
            raise next(iter(refusals.values()))
        return answers

    def _asked(self, query: Query, begins: float, ends: float) -> list[Sample]:
        url = f"{self._settings.url.rstrip('/')}/api/v1/query_range"
        step = f"{self._settings.step_seconds:g}"
        parameters = {"query": query.query, "start": repr(begins), "end": repr(ends), "step": step}
        host = urlsplit(url).netloc
        try:
            response = self._http.get(url, params=parameters)
            content = response.json()
        except (httpx.HTTPError, ValueError) as error:
            message = f"Prometheus at {host} does not answer: {type(error).__name__} {error}"
            raise UnreachableError(message, fix="look at `url` and the server") from error
        if not isinstance(content, Mapping):
            raise _unreadable(host, query)
        if response.status_code >= _ERROR or content.get("status") != "success":
            why = str(content.get("error", response.status_code))[:200]
            message = f"Prometheus at {host} refuses query {query.name!r}: {why}"
            fix = "try the query on the server's own page"
            if response.status_code in _QUERY_FAULTS:
                raise _RefusedQueryError(message, fix=fix)
            raise UnreachableError(message, fix=fix)
        try:
            results = content["data"]["result"][:SERIES_MOST]
            return [sample for one in results for sample in _samples(one, query)]
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise _unreadable(host, query) from error


def _unreadable(host: str, query: Query) -> _RefusedQueryError:
    return _RefusedQueryError(
        f"what {host} answers to query {query.name!r} is no matrix of numbers",
        fix="look at `url`, and try the query on the server's own page",
    )


def _reachable(now: float, *, answers: bool) -> Signal:
    return Signal(
        name="source_reachable",
        layer=Layer.MACHINE,
        subject=f"sender:{PrometheusSource.name}",
        at=now,
        value=float(answers),
    )


def _samples(one: Mapping[str, Any], query: Query) -> list[Sample]:
    labels = {key: str(value) for key, value in one["metric"].items() if key != "__name__"}
    return [
        Sample(name=query.name, labels=labels, at=float(at), value=float(value), unit=query.unit)
        for at, value in one.get("values", ())  # native histograms have none
    ]


def _as_asked(signal: Signal, query: Query) -> Signal:
    layer = signal.layer if query.layer is None else query.layer
    return dataclasses.replace(signal, layer=layer, shape=query.shape)


def load_prometheus(text: str, name: str) -> PrometheusSettings:
    """Return the settings of a TOML text.

    Raises:
        InvalidInputError: with every fault of the text.
    """
    faults: list[Fault] = []
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = f"is not TOML: {error}"
        raise InvalidInputError(name, [Fault(code="S001", message=message)]) from error
    faults += [
        Fault(code="S002", message=f"unknown key `{key}`", path=key)
        for key in sorted(set(content) - {"url", "token", "step_seconds", "query"})
    ]
    url, step = content.get("url", ""), content.get("step_seconds", 60.0)
    if not str(url).startswith(("http://", "https://")):
        message = f"`url` is {url!r}; write http://HOST:9090"
        faults.append(Fault(code="S003", message=message, path="url"))
    if isinstance(step, bool) or not isinstance(step, int | float) or not step >= 1:
        message = f"`step_seconds` is {step!r}; a number of at least 1 is needed"
        faults.append(Fault(code="S006", message=message, path="step_seconds"))
    tables = content.get("query", [])
    if not isinstance(tables, list) or not 1 <= len(tables) <= QUERIES_MOST:
        message = f"from 1 to {QUERIES_MOST} `[[query]]` tables are needed"
        faults.append(Fault(code="S003", message=message, path="query"))
        tables = []
    queries = [_query(table, f"query[{index}]", faults) for index, table in enumerate(tables)]
    if faults:
        raise InvalidInputError(name, faults)
    return PrometheusSettings(
        url=str(url),
        token=str(content.get("token", "")),
        step_seconds=float(step),
        queries=tuple(queries),
    )


def _query(table: object, path: str, faults: list[Fault]) -> Query:
    """Return one query; its faults are added."""
    given: dict[str, Any] = table if isinstance(table, dict) else {}
    for key in sorted(set(given) - _KEYS):
        near = difflib.get_close_matches(key, sorted(_KEYS), n=1)
        fix = f"did you mean `{near[0]}`?" if near else f"known: {', '.join(sorted(_KEYS))}"
        faults.append(
            Fault(code="S002", message=f"unknown key `{key}`", path=f"{path}.{key}", fix=fix)
        )
    for key in ("name", "query"):
        if not isinstance(given.get(key), str) or not given[key].strip():
            message = f"`{key}` must be a text"
            faults.append(Fault(code="S003", message=message, path=f"{path}.{key}"))
    layer, shape = given.get("layer", ""), given.get("shape", Shape.GAUGE.value)
    for key, value, known in (("layer", layer, ("", *Layer)), ("shape", shape, tuple(Shape))):
        if value not in known:
            message = f"{value!r} is no {key}; there are {', '.join(one for one in known if one)}"
            faults.append(Fault(code="S005", message=message, path=f"{path}.{key}"))
    return Query(
        name=str(given.get("name", "")),
        query=str(given.get("query", "")),
        unit=str(given.get("unit", "")),
        layer=Layer(layer) if layer in set(Layer) else None,
        shape=Shape(shape) if shape in set(Shape) else Shape.GAUGE,
    )
