"""A training that bears small learning rates only."""

import json
import os
import sys
from pathlib import Path

document = json.loads(Path(os.environ["BERTH_PARAMETERS"]).read_text())
settings = {**document["task"].get("parameters", {}), **document.get("overrides", {})}
rate = float(settings["learning_rate"])
if rate > 1.0:
    sys.exit(f"learning rate {rate:g}: loss is nan")
Path(os.environ["BERTH_OUTPUTS"], "outputs.json").write_text(json.dumps({"learning_rate": rate}))
