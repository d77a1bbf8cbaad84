"""What an installation says of its Kubernetes clusters: one TOML file, checked and frozen.

kubeconfig = "kubeconfig"              # relative to this file; all its contexts are clusters
image = "registry.example/berth@sha256:..."
listen = "127.0.0.1:8751"              # where pods fetch and leave artefacts
artifacts_url = "http://berth:8751"    # how pods reach that

[clusters.east]                        # a context; without tables all contexts are taken
namespace = "ml"
provider = "aws"
queue = "team"                         # Kueue's LocalQueue there, if it has Kueue

[clusters.west]
via = "east"                           # MultiKueue: east's Kueue sends Jobs to west ...
worker = "west"                        # ... which it knows by this name

[prices]                               # US dollars per hour of a node, by instance type
"m5.2xlarge" = 0.384
"""

from __future__ import annotations

import dataclasses
import math
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import cast

from engine.model.errors import Fault, InvalidInputError
from engine.model.fleet import Provider
from engine.model.identifiers import MicroDollars, dollars

CODE = "U030"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSettings:
    """One cluster: a context of the kubeconfig.

    namespace: "" takes that of the context. provider, region, continent: where nodes do not say.
    grace_seconds: how long a cluster may not answer before its attempts count as lost.
    connections: requests at a time; writes_per_second: 0 for no limit.
    serves: whether models may be served there. reached_by: how their endpoints are told, by the
    name of their Service, or by the address of a pod (`pod`) for those outside of the cluster.
    queue: Kueue's LocalQueue in the namespace that Jobs wait in, where the cluster has Kueue.
    priority_class, serving_priority_class: PriorityClass of the pods of tasks and of servers.
    serves_as: deployment, or inferenceservice for KServe's. modelcars: where packages are pushed as
    images for its servers, HOST/REPOSITORY; "" where pods fetch them. modelcar_base: what those
    images stand on, busybox or an image with a shell.
    gateway: NAME or NAMESPACE/NAME of the Gateway whose HTTPRoutes share requests out.
    device_class: what GPUs are claimed from (DRA).
    gangs_as: what a task on several nodes is made as where the cluster has it: jobset, trainjob, or
    job for an Indexed Job.
    via: the cluster whose Kueue sends Jobs here (MultiKueue); worker: how that calls this one.
    """

    name: str
    context: str
    namespace: str = ""
    provider: Provider = Provider.ON_PREMISES
    region: str = ""
    continent: str = ""
    grace_seconds: float = 900.0
    connections: int = 4
    writes_per_second: float = 20.0
    serves: bool = True
    reached_by: str = "service"
    queue: str = ""
    via: str = ""
    worker: str = ""
    gangs_as: str = "job"
    serves_as: str = "deployment"
    modelcars: str = ""
    modelcar_base: str = "busybox"
    device_class: str = ""
    gateway: str = ""
    priority_class: str = ""
    serving_priority_class: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class KubernetesSettings:
    """All clusters, and what is the same for them.

    listen: host and port of the artefact endpoint; artifacts_url: how pods reach it.
    exec_allowed: commands that a kubeconfig may name as credential plug-ins.
    ttl_seconds: how long an ended Job stays; pending_seconds: how long a pod may wait for a node.
    python: the interpreter inside the image.
    """

    kubeconfig: Path
    clusters: tuple[ClusterSettings, ...] = ()
    image: str = "berth"
    python: str = "python"
    listen: str = "127.0.0.1:8751"
    artifacts_url: str = ""
    exec_allowed: tuple[str, ...] = ()
    ttl_seconds: int = 86_400
    pending_seconds: float = 3_600.0
    stop_seconds: float = 30.0
    prices: Mapping[str, MicroDollars] = field(default_factory=dict)

    @property
    def endpoint(self) -> str:
        """URL at which pods find the artefacts, without a slash at its end."""
        return (self.artifacts_url or f"http://{self.listen}").rstrip("/")


def read_settings(path: Path) -> KubernetesSettings:
    """Read the settings of the clusters.

    Raises:
        InvalidInputError: with every fault of the file at once.
    """
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        fault = Fault(code=CODE, message=f"cannot read {str(path)!r}: {error}")
        raise InvalidInputError(str(path), [fault]) from error
    faults: list[Fault] = []
    tables = _table(document.pop("clusters", {}), "clusters", faults)
    prices = _table(document.pop("prices", {}), "prices", faults)
    values = _values(document, _READERS, "", faults)
    clusters = tuple(_cluster(name, table, faults) for name, table in tables.items())
    priced = {kind: dollars(_price(kind, value, faults)) for kind, value in prices.items()}
    if "kubeconfig" not in values and not faults:
        fix = 'add `kubeconfig = "FILE"`'
        faults.append(Fault(code=CODE, message="`kubeconfig` is missing", fix=fix))
    faults.extend(_via_faults(clusters))
    faults.extend(_modelcar_faults(clusters))
    if faults:
        raise InvalidInputError(str(path), faults)
    kubeconfig = path.parent / Path(str(values.pop("kubeconfig"))).expanduser()
    known = KubernetesSettings(kubeconfig=kubeconfig, clusters=clusters, prices=priced)
    return dataclasses.replace(known, **values)  # type: ignore[arg-type]  # checked by the readers


def _cluster(name: str, table: object, faults: list[Fault]) -> ClusterSettings:
    place = f"clusters.{name}"
    values = _values(_table(table, place, faults), _CLUSTER_READERS, f"{place}.", faults)
    known = ClusterSettings(name=name, context=name)
    return dataclasses.replace(known, **values)  # type: ignore[arg-type]  # checked by the readers


def _modelcar_faults(clusters: tuple[ClusterSettings, ...]) -> Iterator[Fault]:
    """Yield where modelcars are asked for that nobody would show to a server."""
    for each in clusters:
        if each.modelcars and each.serves_as != "inferenceservice":
            place = f"clusters.{each.name}.modelcars"
            message = f"`{place}` is {each.modelcars!r}, and only InferenceServices use modelcars"
            fix = f'add `serves_as = "inferenceservice"` to `clusters.{each.name}`'
            yield Fault(code=CODE, message=message, path=place, fix=fix)


def _via_faults(clusters: tuple[ClusterSettings, ...]) -> Iterator[Fault]:
    """Yield what is wrong with clusters that are reached through others."""
    known = {each.name: each for each in clusters}
    for each in clusters:
        place = f"clusters.{each.name}.via"
        manager = known.get(each.via)
        if not each.via:
            continue
        if manager is None or manager is each or manager.via:
            message = (
                f"`{place}` is {each.via!r}, which is no other cluster that Jobs can be made on"
            )
            fix = f"name one of {', '.join(sorted(known.keys() - {each.name})) or 'the clusters'}"
            yield Fault(code=CODE, message=message, path=place, fix=fix)
        elif not manager.queue:
            message = f"`{place}` is {each.via!r}, which has no `queue`"
            fix = f'add `queue = "NAME"` of a LocalQueue to `clusters.{each.via}`'
            yield Fault(code=CODE, message=message, path=place, fix=fix)


def _table(value: object, place: str, faults: list[Fault]) -> dict[str, object]:
    if isinstance(value, dict):
        return cast("dict[str, object]", value)
    faults.append(Fault(code=CODE, message=f"`{place}` is {value!r}, not a table", path=place))
    return {}


def _values(
    document: Mapping[str, object],
    readers: Mapping[str, Callable[[object], object]],
    place: str,
    faults: list[Fault],
) -> dict[str, object]:
    """Return what the readers make of a table; unknown keys and wrong values are faults."""
    values: dict[str, object] = {}
    for key, value in document.items():
        if key not in readers:
            near = tuple(get_close_matches(key, readers, n=1))
            fix = f"did you mean `{near[0]}`?" if near else "remove it"
            message = f"unknown key `{place}{key}`"
            faults.append(Fault(code=CODE, message=message, path=f"{place}{key}", fix=fix))
            continue
        try:
            values[key] = readers[key](value)
        except (TypeError, ValueError) as error:
            message = f"`{place}{key}` is {value!r}: {error}"
            faults.append(Fault(code=CODE, message=message, path=f"{place}{key}"))
    return values


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError("a text is needed")
    return value


def _like(pattern: str, words: str) -> Callable[[object], str]:
    """Return a reader of a text that becomes part of addresses and manifests; words: how it is."""

    def read(value: object) -> str:
        if not re.fullmatch(pattern, text := _text(value)):
            raise ValueError(f"{words} is needed")
        return text

    return read


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError("a list of texts is needed")
    return tuple(_text(each) for each in cast("list[object]", value))


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError("a number is needed")
    if not (math.isfinite(value) and value >= 0):
        raise ValueError("a number of at least 0 is needed")
    return float(value)


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise TypeError("a whole number of at least 1 is needed")
    return value


def _yes_or_no(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError("true or false is needed")
    return value


def _one_of(*names: str) -> Callable[[object], str]:
    """Return a reader of one of some words."""

    def read(value: object) -> str:
        if value not in names:
            raise ValueError(f"one of {', '.join(names)} is needed")
        return str(value)

    return read


def _price(kind: str, value: object, faults: list[Fault]) -> float:
    try:
        return _number(value)
    except (TypeError, ValueError) as error:
        message = f"`prices.{kind}` is {value!r}: {error}"
        faults.append(Fault(code=CODE, message=message, path=f"prices.{kind}"))
        return 0.0


def _provider(value: object) -> Provider:
    try:
        return Provider(_text(value))
    except ValueError:
        raise ValueError(f"one of {', '.join(Provider)} is needed") from None


_NAME = "[a-z0-9]([-.a-z0-9]*[a-z0-9])?"
"""Names of objects of Kubernetes."""
_REGISTRY = r"([-a-z0-9]+\.[-.a-z0-9]+(:\d+)?|[-a-z0-9]+:\d+|localhost)"
_REPOSITORY = "[a-z0-9]+([._/-]+[a-z0-9]+)*"
_name = _like(_NAME, "a name of a-z, 0-9, `-` and `.`")
_READERS: Mapping[str, Callable[[object], object]] = {
    "kubeconfig": _text,
    "image": _text,
    "python": _text,
    "listen": _text,
    "artifacts_url": _text,
    "exec_allowed": _texts,
    "ttl_seconds": _whole,
    "pending_seconds": _number,
    "stop_seconds": _number,
}
_CLUSTER_READERS: Mapping[str, Callable[[object], object]] = {
    "context": _text,
    "namespace": _name,
    "provider": _provider,
    "region": _text,
    "continent": _text,
    "grace_seconds": _number,
    "connections": _whole,
    "writes_per_second": _number,
    "serves": _yes_or_no,
    "reached_by": _one_of("service", "pod"),
    "queue": _name,
    "via": _text,
    "worker": _text,
    "gangs_as": _one_of("job", "jobset", "trainjob"),
    "serves_as": _one_of("deployment", "inferenceservice"),
    "modelcars": _like(f"{_REGISTRY}/{_REPOSITORY}", "HOST[:PORT]/REPOSITORY"),
    "modelcar_base": _like(f"busybox|{_REGISTRY}/[^ ]+", "busybox or HOST[:PORT]/IMAGE"),
    "device_class": _name,
    "gateway": _like(f"({_NAME}/)?{_NAME}", "NAME or NAMESPACE/NAME"),
    "priority_class": _name,
    "serving_priority_class": _name,
}
