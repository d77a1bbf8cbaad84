"""Which of the optional kinds a cluster is asked to speak, and has. Discovery decides.

A cluster is asked once for each while the engine runs: an attempt whose start is repeated must not
become an object of another kind in between. Jobs that wait in a queue of Kueue stay Jobs, and ask
for GPUs as Kueue counts them.
"""

from __future__ import annotations

import threading

from engine.model.errors import NotFoundError, RefusedError
from executors.kubernetes.api import Api
from executors.kubernetes.kinds import addresses
from executors.kubernetes.kinds.addresses import Kind
from executors.kubernetes.settings import ClusterSettings

_GANGS = {"jobset": addresses.JOB_SET, "trainjob": addresses.TRAIN_JOB}
_DEVICE_CLASSES = "/apis/resource.k8s.io/v1/deviceclasses"


class Spoken:
    """What one cluster speaks. May be used from several threads.

    Each property raises RetryableError when the cluster was not asked yet and does not answer.
    """

    def __init__(self, api: Api, given: ClusterSettings) -> None:
        self._api = api
        self._given = given
        self._known: dict[str, bool] = {}
        self._lock = threading.Lock()

    @property
    def gangs(self) -> str:
        """Kind of the object of a task that runs on several nodes; "Job" for an Indexed Job."""
        wanted = _GANGS.get(self._given.gangs_as, addresses.JOB)
        if self._given.queue or wanted == addresses.JOB or not self._has(wanted):
            return addresses.JOB
        return wanted

    @property
    def claims(self) -> bool:
        """Whether GPUs are claimed from the device class of the settings (DRA)."""
        named = self._given.device_class
        if not named or self._given.queue:
            return False
        with self._lock:
            if named not in self._known:
                self._known[named] = _is_there(self._api, f"{_DEVICE_CLASSES}/{named}")
            return self._known[named]

    @property
    def routes(self) -> bool:
        """Whether requests to servers are shared out by HTTPRoutes of the gateway given."""
        return bool(self._given.gateway) and self._has(addresses.HTTP_ROUTE)

    @property
    def inference(self) -> bool:
        """Whether models are served as InferenceServices."""
        wanted = self._given.serves_as == "inferenceservice"
        return wanted and self._has(addresses.INFERENCE_SERVICE)

    def _has(self, kind: str) -> bool:
        """Whether the server has a kind, in the version that is spoken."""
        with self._lock:
            if kind not in self._known:
                self._known[kind] = is_served(self._api, addresses.KINDS[kind])
            return self._known[kind]


def is_served(api: Api, kind: Kind) -> bool:
    """Whether a server has a kind.

    Raises:
        RetryableError: when it does not answer.
    """
    try:
        told = api.call("GET", f"/apis/{kind.api_version}")
    except NotFoundError:
        return False
    return any(each.get("name") == kind.plural for each in told.get("resources") or ())


def _is_there(api: Api, path: str) -> bool:
    """Whether there is an object that may be read."""
    try:
        api.call("GET", path)
    except (NotFoundError, RefusedError):
        return False
    return True
