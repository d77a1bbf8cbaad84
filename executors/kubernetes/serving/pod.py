"""The server in every pod of a serve task: `python -m executors.kubernetes.serving.pod`.

It fetches the package from the engine's artefact endpoint and serves it over the Open Inference
Protocol on all addresses of the pod. SIGTERM lets it say that it is not ready, and answer a while.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from engine.model.errors import BerthError
from executors.kubernetes import pod
from executors.kubernetes.serving import DRAIN_SECONDS, PORT
from executors.serving import standalone

_VERSION_LENGTH = 12


def main(environment: Mapping[str, str]) -> int:
    """Serve the package that the environment names until a signal ends it; return the exit code."""
    root = Path(environment.get("BERTH_ROOT", "/berth"))
    digest = environment["BERTH_PACKAGE"].removeprefix("sha256:")
    target = root / "models" / environment["BERTH_MODEL"] / digest[:_VERSION_LENGTH]
    try:
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            pod.patiently(functools.partial(pod.fetch, environment["BERTH_ADDRESS"], target))
        standalone.run(
            standalone.ServerSettings(
                folder=root / "models",
                host=environment.get("BERTH_HOST", "0.0.0.0"),  # noqa: S104 - of the pod alone
                port=int(environment.get("BERTH_PORT", PORT)),
                drain_seconds=DRAIN_SECONDS,
            )
        )
    except pod.TransferError as error:
        sys.stderr.write(f"the package cannot be fetched: {error}\n")
        return 1
    except BerthError as error:
        sys.stderr.write(f"{error.message}\n{error.fix}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(os.environ))
