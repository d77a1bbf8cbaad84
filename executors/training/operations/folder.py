"""A trained template as a folder that `berth model init`, `add` and `push` take as it is.

model.toml, requirements.txt, golden.json, history.json      what git holds
model.onnx, model.pt2 or model.arima.json                    the weights
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from executors.training.operations.template import Trained, WeightsFormat

REQUIREMENTS: Mapping[WeightsFormat, str] = {
    WeightsFormat.ONNX: "numpy\nonnxruntime\n",
    WeightsFormat.TORCH: "numpy\ntorch\n",
    WeightsFormat.ARIMA: "numpy\nstatsmodels\n",
}
_TOML = """\
name = {name}
format = "{format}"
file = "{file}"
family = "{family}"
features = {features}
classes = {classes}

[tests]
latency_ms_p99 = 1000
size_mib = 256

[deploy]
# image = "registry.example.org/{plain}"     # where the image is pushed
# test = "http://127.0.0.1:9001"            # model servers
# production = "http://127.0.0.1:9002"
promote = "by hand"                         # or "when tests pass"
"""


def write(trained: Trained, folder: Path, name: str) -> tuple[Path, ...]:
    """Write all files; return them. Weights and golden requests replace those of a training before.

    `model.toml` and `requirements.txt` are people's once they are there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    toml = _TOML.format(
        name=json.dumps(name),
        plain=name,
        format=trained.format.value,
        file=trained.file,
        family=trained.template.value,
        features=json.dumps(list(trained.features), ensure_ascii=False),
        classes=json.dumps(list(range(len(trained.classes)))),
    )
    kept = {"model.toml": toml, "requirements.txt": REQUIREMENTS[trained.format]}
    for file, text in kept.items():
        if not (folder / file).exists():
            (folder / file).write_text(text, encoding="utf-8")
    golden = json.dumps(trained.example, allow_nan=False)
    (folder / "golden.json").write_text(golden + "\n", encoding="utf-8")
    (folder / trained.file).write_bytes(trained.weights)
    written = [*kept, "golden.json", trained.file]
    if len(trained.losses) > 1:
        history = json.dumps({"loss": list(trained.losses)})
        (folder / "history.json").write_text(history + "\n", encoding="utf-8")
        written.append("history.json")
    return tuple(folder / file for file in written)
