"""What a model server asks before it loads a package.

The policy is the file `BERTH_POLICY`, else `policy.yaml` in the data folder, else the default one:
no signature needed, no pickle, nothing worse than medium. It is read again when it changed, so
that a swap is judged by what holds now.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from engine.model.errors import RefusedError
from engine.model.scans import ScanReport
from executors.packaging.security import attachments, layouts
from executors.packaging.security.policies import judging
from executors.packaging.security.policies.policy import Policy, Verdict

_VERDICTS_MAX = 64
_LOG = logging.getLogger(__name__)
CODE = "P001"


def policy_path(environment: Mapping[str, str]) -> Path | None:
    """Return the file of the policy that an environment names or its data folder has."""
    named = environment.get("BERTH_POLICY")
    if named:
        return Path(named)
    home = environment.get("BERTH_HOME")
    path = Path(home) / "policy.yaml" if home else None
    return path if path is not None and path.exists() else None


def current_policy(environment: Mapping[str, str]) -> Policy:
    """Return the policy that holds.

    Raises:
        InvalidInputError: when its file cannot be read or has faults: then nothing is deployed.
    """
    path = policy_path(environment)
    if path is None:
        return Policy()
    # YAML with places takes a second to import, and most installations have the default policy.
    from executors.packaging.security.policies.reading import load_policy  # noqa: PLC0415

    return load_policy(path)


class Gate:
    """Asks the policy about images; remembers what it said as long as nothing changed.

    A verdict stands for a digest and what is attached to it: whoever reads the image compares its
    bytes with the digest, so they need not be looked at again at every swap.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._stamp: tuple[object, ...] = ()
        self._policy = Policy()
        self._verdicts: dict[tuple[str, bytes], Verdict] = {}

    def check(
        self, layout: Path, digest: str | None = None, report: ScanReport | None = None
    ) -> Verdict:
        """Return the verdict on an image of which the model may be loaded.

        report: of a scan that the caller made of its model's layers just now.

        Raises:
            RefusedError: when it may not; the message names every reason.
            InvalidInputError: when the policy has faults.
            DamagedError: when the image is not what it says.
        """
        self._renew()
        found = layouts.manifest_of(layout, digest).digest
        key = (found, attachments.state(layout))
        verdict = self._verdicts.get(key)
        if verdict is None:
            verdict = judging.judge(layout, self._policy, found, whole=False, report=report)
            if len(self._verdicts) >= _VERDICTS_MAX:
                self._verdicts.clear()
            self._verdicts[key] = verdict
        if not verdict.is_allowed:
            reasons = "; ".join(refusal.message for refusal in verdict.refusals)
            message = f"policy {verdict.policy!r} refuses {verdict.digest}: {reasons}"
            raise RefusedError(message, fix=verdict.refusals[0].fix, code=CODE)
        return verdict

    def policy(self) -> Policy:
        """Return the policy that holds now; another object when it changed.

        Raises:
            InvalidInputError: when it has faults.
        """
        self._renew()
        return self._policy

    def _renew(self) -> None:
        """Read the policy again when its file changed."""
        path = policy_path(self._environment)
        stamp: tuple[object, ...] = (None,)
        if path is not None and path.exists():
            found = path.stat()
            stamp = (str(path), found.st_mtime_ns, found.st_size)
        elif path is not None:
            stamp = (str(path),)
        if stamp != self._stamp:
            self._policy = current_policy(self._environment)
            self._stamp = stamp
            self._verdicts.clear()
            _LOG.info("policy %r holds", self._policy.name)
