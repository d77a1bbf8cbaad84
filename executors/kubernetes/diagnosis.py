"""What `berth doctor` asks of each cluster.

Whether it answers, how old it is, whether its clock agrees with ours, and whether our rights on it
are those of the golden list.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass

from engine.model.errors import BerthError, RefusedError
from executors.kubernetes import rights
from executors.kubernetes.api import Api
from executors.kubernetes.clusters import ClusterLink, KubernetesClusters

OLDEST = (1, 29)
"""The oldest version whose Jobs can do what is asked of them: podReplacementPolicy by default."""
_SKEW_SECONDS_MOST = 60.0
_SHOWN = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """One thing that was looked at."""

    cluster: str
    fine: bool
    message: str
    fix: str = ""


def diagnose(clusters: KubernetesClusters) -> Iterator[Diagnosis]:
    """Yield what is found of each cluster; never raises for one that is in trouble."""
    try:
        links = clusters.links()
    except BerthError as error:
        yield Diagnosis(cluster="kubernetes", fine=False, message=error.message, fix=error.fix)
        return
    for link in links.values():
        yield from _cluster(link)


def _cluster(link: ClusterLink) -> Iterator[Diagnosis]:
    name, api = link.given.name, link.api
    if api is None:
        message = link.trouble.message if link.trouble else "it cannot be reached"
        yield Diagnosis(cluster=name, fine=False, message=message, fix="mend the kubeconfig")
        return
    for look in (_version, _clock, _rights, _others):
        try:
            yield look(link, api)
        except BerthError as error:
            yield Diagnosis(cluster=name, fine=False, message=error.message, fix=error.fix)
            return


def version_of(text: str) -> tuple[int, int]:
    """Return major and minor of a version as servers write it.

    >>> version_of("v1.36.2"), version_of("v1.30.4-eks-a737599")
    ((1, 36), (1, 30))
    """
    found = re.match(r"v?(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _version(link: ClusterLink, api: Api) -> Diagnosis:
    text = str(api.call("GET", "/version").get("gitVersion", ""))
    fine = version_of(text) >= OLDEST
    least = ".".join(map(str, OLDEST))
    message = f"answers; Kubernetes {text}" if fine else f"is Kubernetes {text}, before {least}"
    fix = "" if fine else f"upgrade it to {least} or newer"
    return Diagnosis(cluster=link.given.name, fine=fine, message=message, fix=fix)


def _clock(link: ClusterLink, api: Api) -> Diagnosis:
    began = time.time()
    told = api.date()
    skew = told - (began + time.time()) / 2 if told else 0.0
    fine = abs(skew) < _SKEW_SECONDS_MOST
    message = f"its clock is within {_SKEW_SECONDS_MOST:.0f} s of ours"
    if not fine:
        message = f"its clock is {skew:+.0f} s from ours"
    fix = "" if fine else "set both clocks by NTP"
    return Diagnosis(cluster=link.given.name, fine=fine, message=message, fix=fix)


def _others(link: ClusterLink, api: Api) -> Diagnosis:
    """Ask whether what others run may be seen; not to see it is no illness."""
    name = link.given.name
    try:
        api.call("GET", "/api/v1/pods", query={"limit": 1})
    except RefusedError:
        message = "what others run on its nodes is not known: plans count on all of their room"
        fix = "allow `list` and `watch` of pods on the whole cluster, if plans shall count it"
        return Diagnosis(cluster=name, fine=True, message=message, fix=fix)
    return Diagnosis(cluster=name, fine=True, message="what others run on its nodes is counted")


def _rights(link: ClusterLink, api: Api) -> Diagnosis:
    path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": link.namespace},
    }
    has = rights.granted(api.call("POST", path, body=body))
    lacks, beyond = rights.missing(has, queued=link.has_queues), rights.needless(has)
    if lacks:
        shown = ", ".join(map(str, lacks[:_SHOWN]))
        message = f"lacks rights in namespace {link.namespace!r}: {shown}"
        fix = "apply the roles of docs/how-to/kubernetes.md"
        return Diagnosis(cluster=link.given.name, fine=False, message=message, fix=fix)
    message = f"has the rights it needs in namespace {link.namespace!r}"
    if beyond:
        shown = ", ".join(map(str, beyond[:_SHOWN]))
        message += f", and more than those: {shown}"
    return Diagnosis(cluster=link.given.name, fine=True, message=message)
