"""What a compression was given and came to, for the record of it (`executors.tasks.records`)."""

from __future__ import annotations

import hashlib
import importlib
from typing import Any

import numpy as np

from executors.training.compression.compressing import Compressed, Task
from executors.training.parallel import facts

torch: Any = importlib.import_module("torch")


def said(task: Task) -> dict[str, dict[str, Any]]:
    """Return digests of the rows that judge and of the weights, and what was asked.

    What the network learns on again is known to its function alone.
    """
    rows = {"rows": task.rows, "labels": task.labels, "calibration": task.calibration}
    data = {k: facts.digest(torch.from_numpy(np.ascontiguousarray(v))) for k, v in rows.items()}
    weights = hashlib.sha256()
    for name, tensor in task.model.state_dict().items():
        weights.update(f"{name}\0{facts.digest(tensor)}\n".encode())
    return {
        "data": {**data, "weights": f"sha256:{weights.hexdigest()}"},
        "parameters": {"budget": task.budget, "shares": list(task.shares)},
        "environment": {"threads": str(torch.get_num_threads())},
    }


def outputs(found: Compressed) -> dict[str, object]:
    """Return quality, size and latency of the chosen form and of the original.

    accepted: whether any form stayed within the budget; without one the original is chosen.
    """
    first, chosen = found.forms[0], found.chosen
    return {
        "accepted": chosen is not first,
        "form": chosen.name,
        "quality": chosen.quality,
        "quality_before": first.quality,
        "operations_share": chosen.multiply_adds / first.multiply_adds,
        "size_bytes": chosen.size_bytes,
        "size_bytes_before": first.size_bytes,
        "latency_ms": 1e3 * chosen.latency_seconds,
        "latency_before_ms": 1e3 * first.latency_seconds,
        "faster": first.latency_seconds / chosen.latency_seconds,
    }
