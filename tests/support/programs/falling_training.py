"""A training that learns, and then loses it: its loss rises and its precision falls, for long."""

import json
import os
import random
import time
from pathlib import Path

LEARNS_FOR, LASTS_FOR = 40, 2_000
PAUSE_SECONDS = 0.1


def tell(name: str, value: float) -> None:
    line = {
        "name": name,
        "layer": "training",
        "subject": f"model:{os.environ['BERTH_PIPELINE']}/net",
        "at": time.time(),
        "value": value,
    }
    with Path(os.environ["BERTH_SIGNALS"]).open("a") as file:
        file.write(json.dumps(line) + "\n")


noise = random.Random(3)
for batch in range(LASTS_FOR):
    learned = min(1.0, batch / LEARNS_FOR)
    lost = min(1.0, max(0.0, (batch - LEARNS_FOR - 20) / 20))
    tell("precision", 0.5 + 0.4 * learned - 0.45 * lost + noise.gauss(0.0, 0.01))
    tell("loss", 1.0 - 0.8 * learned + 3.0 * lost + abs(noise.gauss(0.0, 0.01)))
    time.sleep(PAUSE_SECONDS)
