"""Where the objects of attempts are, and the head of what is written to them. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from executors.kubernetes.api import Document

JOB = "Job"
JOB_SET = "JobSet"
TRAIN_JOB = "TrainJob"
TRAINING_RUNTIME = "TrainingRuntime"
CLAIM_TEMPLATE = "ResourceClaimTemplate"
HTTP_ROUTE = "HTTPRoute"
INFERENCE_SERVICE = "InferenceService"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of object: its API and the name of its collection."""

    group: str
    version: str
    plural: str

    @property
    def api_version(self) -> str:
        """As manifests have it."""
        return f"{self.group}/{self.version}"

    def path(self, namespace: str, name: str = "") -> str:
        """Return the path of the collection in a namespace, or of one object."""
        base = f"/apis/{self.api_version}/namespaces/{namespace}/{self.plural}"
        return f"{base}/{name}" if name else base


KINDS = {
    JOB: Kind("batch", "v1", "jobs"),
    JOB_SET: Kind("jobset.x-k8s.io", "v1alpha2", "jobsets"),
    TRAIN_JOB: Kind("trainer.kubeflow.org", "v1alpha1", "trainjobs"),
    TRAINING_RUNTIME: Kind("trainer.kubeflow.org", "v1alpha1", "trainingruntimes"),
    CLAIM_TEMPLATE: Kind("resource.k8s.io", "v1", "resourceclaimtemplates"),
    HTTP_ROUTE: Kind("gateway.networking.k8s.io", "v1", "httproutes"),
    INFERENCE_SERVICE: Kind("serving.kserve.io", "v1beta1", "inferenceservices"),
}


def path_of(item: Document) -> str:
    """Return the path of an object, as it was read or as it is to be made."""
    named: Document = item.get("metadata") or item
    return KINDS[item["kind"]].path(named["namespace"], named["name"])


def head(kind: str) -> Document:
    """Return what every manifest of a kind begins with."""
    return {"apiVersion": KINDS[kind].api_version, "kind": kind}
