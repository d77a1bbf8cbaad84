"""One node of a training on a cluster: `-m executors.training.parallel.member FILE FUNCTION`.

`clusters` orders it. The training's folder comes in as the input `training` and goes out in the
outputs of the first node, also when workers failed, so that it goes on from its last checkpoint.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import stat
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.model.errors import NotFoundError
from executors.training.parallel import launch

TRAINING = "training"
"""Name of the input, and of the folder in the outputs."""
BAD_INPUT = 65


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Start this node's workers as `$BERTH_PARAMETERS` says; 65 where there is no torch."""
    order = json.loads(Path(environment["BERTH_PARAMETERS"]).read_bytes())[TRAINING]
    outputs = Path(environment["BERTH_OUTPUTS"])
    folder = outputs / TRAINING
    begin(Path(environment["BERTH_INPUTS"]) / TRAINING, folder)
    try:
        program = launch.recipe_program(":".join(arguments), folder, order["options"])
        seconds_max = order["seconds_max"]
        code = launch.run(start_of(order, environment), program, folder, seconds_max=seconds_max)
    except NotFoundError as error:
        sys.stderr.write(f"{error}\n")
        return BAD_INPUT
    sys.stdout.write((folder / "log.txt").read_text(encoding="utf-8", errors="replace"))
    (outputs / "outputs.json").write_text(json.dumps({"code": code}) + "\n", encoding="utf-8")
    return 0


def begin(before: Path, folder: Path) -> None:
    """Have a training go on from the folder of an earlier one, where there is one."""
    if not before.exists():
        return
    shutil.copytree(before, folder)
    for path in (folder, *folder.rglob("*")):  # what is laid out may only be read
        path.chmod(path.stat().st_mode | stat.S_IWUSR)


def start_of(order: Mapping[str, Any], environment: Mapping[str, str]) -> launch.Start:
    """Return how this node's workers are started.

    Of several nodes only the first has the last checkpoint, so that none starts its workers again:
    they end together, and what the first brings back is what all begin with the next time.
    """
    nodes = int(environment.get("BERTH_NODES", "1"))
    start = launch.Start(
        workers=order["workers"],
        nodes=nodes,
        address=environment.get("BERTH_MEETING", ""),
        node=int(environment["BERTH_NODE"]) if nodes > 1 else None,
    )
    return start if nodes == 1 else dataclasses.replace(start, restarts=0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
