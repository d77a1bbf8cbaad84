"""What `berth doctor` asks of each cluster.

Whether it answers, how old it is, whether its clock agrees with ours, whether it has the namespace
and the kinds that its settings ask for and leaves room in its quotas, and whether our rights on it
are those of the golden list.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass

from engine.model.errors import BerthError, RefusedError
from executors.kubernetes import nodes, rights
from executors.kubernetes.api import Api, Document, NoNamespaceError
from executors.kubernetes.clusters import ClusterLink, KubernetesClusters
from executors.kubernetes.kinds import addresses
from executors.kubernetes.kinds.spoken import Spoken

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
    for look in (_version, _clock, _namespace, _kinds, _rights, _quotas, _others):
        try:
            yield from look(link, api)
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


def _version(link: ClusterLink, api: Api) -> Iterator[Diagnosis]:
    text = str(api.call("GET", "/version").get("gitVersion", ""))
    fine = version_of(text) >= OLDEST
    least = ".".join(map(str, OLDEST))
    message = f"answers; Kubernetes {text}" if fine else f"is Kubernetes {text}, before {least}"
    fix = "" if fine else f"upgrade it to {least} or newer"
    yield Diagnosis(cluster=link.given.name, fine=fine, message=message, fix=fix)


def _clock(link: ClusterLink, api: Api) -> Iterator[Diagnosis]:
    began = time.time()
    told = api.date()
    skew = told - (began + time.time()) / 2 if told else 0.0
    fine = abs(skew) < _SKEW_SECONDS_MOST
    message = f"its clock is within {_SKEW_SECONDS_MOST:.0f} s of ours"
    if not fine:
        message = f"its clock is {skew:+.0f} s from ours"
    fix = "" if fine else "set both clocks by NTP"
    yield Diagnosis(cluster=link.given.name, fine=fine, message=message, fix=fix)


def _namespace(link: ClusterLink, api: Api) -> Iterator[Diagnosis]:
    """Say when the namespace is not there; where we may not look, the rights tell."""
    try:
        api.call("GET", f"/api/v1/namespaces/{link.namespace}")
    except NoNamespaceError as error:
        message = f"has no namespace {link.namespace!r}"
        yield Diagnosis(cluster=link.given.name, fine=False, message=message, fix=error.fix)
    except RefusedError:
        return


def _kinds(link: ClusterLink, _: Api) -> Iterator[Diagnosis]:
    """Say which of the kinds that the settings ask for are not there, and what is used instead."""
    lacks = dict(_lacking(link))
    for setting, instead in lacks.items():
        value = getattr(link.given, setting)
        message = f"does not have what `{setting} = {value!r}` asks for: {instead}"
        fix = f"install it and restart the engine, or remove `{setting}`"
        yield Diagnosis(cluster=link.given.name, fine=False, message=message, fix=fix)


def _lacking(link: ClusterLink) -> Iterator[tuple[str, str]]:
    """Yield settings that nothing follows from, each with what is done instead."""
    given, spoken = link.given, _spoken(link)
    if given.gangs_as != "job" and not given.queue and spoken.gangs == addresses.JOB:
        yield "gangs_as", "tasks on several nodes are Indexed Jobs"
    if given.device_class and not given.queue and not spoken.claims:
        yield "device_class", "GPUs are asked for by their number"
    if given.gateway and not spoken.routes:
        yield "gateway", "a canary gets requests by its share of the pods"
    if given.serves_as == "inferenceservice" and not spoken.inference:
        yield "serves_as", "models are served by Deployments"


def _spoken(link: ClusterLink) -> Spoken:
    assert link.more is not None  # noqa: S101 - made with its API
    return link.more.spoken


def _needs(link: ClusterLink) -> frozenset[rights.Right]:
    """Return the rights that the settings of a cluster need beside the list."""
    spoken = _spoken(link)
    gangs = {addresses.JOB_SET: rights.JOB_SETS, addresses.TRAIN_JOB: rights.TRAIN_JOBS}
    needed = gangs.get(spoken.gangs, frozenset())
    for asked, more in (
        (link.has_queues, rights.KUEUE),
        (spoken.claims, rights.CLAIMS | rights.DEVICES),
        (spoken.routes, rights.ROUTES),
        (spoken.inference, rights.INFERENCE),
    ):
        needed |= more if asked else frozenset()
    return needed


def _quotas(link: ClusterLink, api: Api) -> Iterator[Diagnosis]:
    """Name quotas of the namespace that are used up; not to see them is no illness."""
    name, path = link.given.name, f"/api/v1/namespaces/{link.namespace}/resourcequotas"
    try:
        found = api.call("GET", path).get("items") or ()
    except RefusedError:
        message = f"the quotas of namespace {link.namespace!r} are not known"
        fix = "allow `list` of resourcequotas there, if doctor shall look at them"
        yield Diagnosis(cluster=name, fine=True, message=message, fix=fix)
        return
    full = [each for quota in found for each in used_up(quota)]
    message = f"no quota of namespace {link.namespace!r} is used up"
    if full:
        message = (
            f"tasks wait for quota in namespace {link.namespace!r}: {', '.join(full[:_SHOWN])}"
        )
    fix = "raise the ResourceQuota, or end what uses it" if full else ""
    yield Diagnosis(cluster=name, fine=not full, message=message, fix=fix)


def used_up(quota: Document) -> Iterator[str]:
    """Yield what a ResourceQuota has no more of, in words. Pure."""
    status: Document = quota.get("status") or {}
    used: Document = status.get("used") or {}
    for resource, hard in sorted((status.get("hard") or {}).items()):
        if nodes.amount(str(used.get(resource, "0"))) >= nodes.amount(str(hard)) > 0:
            yield f"{resource} {used[resource]} of {hard} ({quota['metadata']['name']})"


def _others(link: ClusterLink, api: Api) -> Iterator[Diagnosis]:
    """Ask whether what others run may be seen; not to see it is no illness."""
    name = link.given.name
    try:
        api.call("GET", "/api/v1/pods", query={"limit": 1})
    except RefusedError:
        message = "what others run on its nodes is not known: plans count on all of their room"
        fix = "allow `list` and `watch` of pods on the whole cluster, if plans shall count it"
        yield Diagnosis(cluster=name, fine=True, message=message, fix=fix)
        return
    yield Diagnosis(cluster=name, fine=True, message="what others run on its nodes is counted")


def _rights(link: ClusterLink, api: Api) -> Iterator[Diagnosis]:
    path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": link.namespace},
    }
    has = rights.granted(api.call("POST", path, body=body))
    lacks, beyond = rights.missing(has, _needs(link)), rights.needless(has)
    if lacks:
        shown = ", ".join(map(str, lacks[:_SHOWN]))
        message = f"lacks rights in namespace {link.namespace!r}: {shown}"
        fix = "apply the roles of docs/how-to/kubernetes.md"
        yield Diagnosis(cluster=link.given.name, fine=False, message=message, fix=fix)
        return
    message = f"has the rights it needs in namespace {link.namespace!r}"
    if beyond:
        shown = ", ".join(map(str, beyond[:_SHOWN]))
        message += f", and more than those: {shown}"
    yield Diagnosis(cluster=link.given.name, fine=True, message=message)
