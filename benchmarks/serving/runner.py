"""Milliseconds of each call of the model runner, and calls that fail while its parts are swapped.

Two heart-disease models are trained and packaged by the built-in tasks from
`training/heart-disease*.csv`; `berth runner` serves one of them behind a schema. Each of the eleven
endpoints and `/model/methods/{name}` is called on a kept connection with one held-out record, the
answer compared with the model's own. Then calls go on from another thread while model, schema and
configuration are put in turn, now and then a broken one. Acumos's runner takes 2.8 s a call before
the network (its own steps, measured: protoc .024, javac 2.303, jar .475).
"""

import io
import json
import statistics
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from benchmarks import frame
from benchmarks.serving import _heart
from benchmarks.serving._runner_load import Body, Caller, binary, form
from executors.local import FolderArtifacts
from executors.packaging import images
from executors.serving import models
from executors.serving.runner import compile_schema

CALLS = 200
QUICK_CALLS = 50
SWAPS = 100
QUICK_SWAPS = 20
ANCHOR = "Acumos at least 2,800 ms"


def run(context: frame.Context) -> Iterator[frame.Figure]:
    """Yields the figures of one runner's life."""
    home = context.scratch / "home"
    heart = _heart.Heart(home, context.file("training/heart-disease*.csv"))
    store = FolderArtifacts(home / "artifacts")
    folders: list[Path] = []
    for name, digest in heart.package(("knn", "tree"), trials=2).items():
        folders.append(context.scratch / name)
        store.lay_out(digest, folders[-1], durable=False)
    served = [models.load(images.read_image(folder), frozenset()) for folder in folders]
    features = [feature.name for feature in served[0].features]
    protos = [_proto(features, field) for field in ("label", "prediction")]
    proto = context.scratch / "heart.proto"
    proto.write_bytes(protos[0])
    rows = np.random.default_rng(7).uniform(0, 100, (1, len(features))).round(2)
    process, caller = _started(folders[0], proto)
    try:
        tars = [_tar(folder) for folder in folders]
        calls = _calls(protos[0], features, rows, tars[1])
        yield from _timed(calls, caller, served, rows, QUICK_CALLS if context.quick else CALLS)
        yield from _swapped(caller, tars, protos, calls, QUICK_SWAPS if context.quick else SWAPS)
    finally:
        process.terminate()
        process.wait(30)


def _proto(features: Sequence[str], label: str) -> bytes:
    fields = " ".join(f"double {name} = {n};" for n, name in enumerate(features, start=1))
    return (
        f'syntax = "proto3"; message Row {{ {fields} }} message Rows {{ repeated Row rows = 1; }}'
        f" message Answer {{ repeated int64 {label} = 1; repeated float probability = 2; }}"
        " service Model { rpc predict (Rows) returns (Answer); }"
    ).encode()


def _tar(folder: Path) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.add(folder, ".")
    return packed.getvalue()


def _started(folder: Path, proto: Path) -> tuple["subprocess.Popen[str]", Caller]:
    """Starts `berth runner`; returns it with a connection to it."""
    command = [sys.executable, "-m", "berth", "runner", "--port", "0"]
    process = subprocess.Popen(
        [*command, "--model", str(folder), "--proto", str(proto)],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    line = process.stderr.readline()
    said = next((word for word in line.split() if word.startswith("http")), None)
    if said is None:
        process.kill()
        raise RuntimeError(f"the runner did not start: {line}{process.stderr.read()}")
    address = urlsplit(said)
    caller = Caller(str(address.hostname), address.port or 0)
    return process, caller


Calls = dict[str, tuple[str, Body]]


def _calls(proto: bytes, features: Sequence[str], rows: np.ndarray, model: bytes) -> Calls:
    """Returns every endpoint's call: its method and body."""
    values = rows[0].tolist()
    csv = f"{','.join(features)}\n{','.join(map(str, values))}\n".encode()
    document = json.dumps({"rows": [dict(zip(features, values, strict=True))]}).encode()
    message = compile_schema(proto).method("").input_class()
    for name, value in zip(features, values, strict=True):
        if not message.rows:
            message.rows.add()
        setattr(message.rows[0], name, value)
    asked: dict[str, bytes | str] = {"operation": "predict"}
    own = {**asked, "proto": proto}
    calls: Calls = {
        "/model": ("PUT", form({"model": model})),
        "/proto": ("PUT", form({"proto": proto})),
        "/model/configuration": ("PUT", form({"modelConfig": b"modelMethod=predict\n"})),
        "/model/methods/predict": ("POST", binary(message.SerializeToString())),
    }
    data: dict[str, dict[str, bytes | str]] = {
        "CSV": {"csvFile": csv},
        "JSON": {"jsonFile": document},
    }
    for kind, part in data.items():
        calls[f"/transform{kind}Default"] = ("POST", form({**part, **asked}))
        calls[f"/transform{kind}"] = ("POST", form({**part, **own, "model": model}))
        binary_name = "/getBinary" if kind == "CSV" else "/getBinaryJSON"
        calls[f"{binary_name}Default"] = ("POST", form({**part, **asked}))
        calls[binary_name] = ("POST", form({**part, **own}))
    return calls


def _timed(
    calls: Calls, caller: Caller, served: Sequence[models.ServedModel], rows: np.ndarray, count: int
) -> Iterator[frame.Figure]:
    """Calls each endpoint; its answers have to be those of the model in service."""
    right = total = 0
    schema = compile_schema(_proto([f.name for f in served[1].features], "label"))
    expected = [int(served[1].infer(rows).labels[0])]
    first: dict[str, float] = {}
    for path, (method, body) in calls.items():
        times: list[float] = []
        for _ in range(count):
            status, data, ms = caller.send(method, path, body)
            assert status == 200, (path, status, data[:300])
            times.append(ms)
            if "transform" in path or "methods" in path:
                answer = schema.method("").output_class()
                answer.ParseFromString(data)
                right += list(answer.label) == expected
                total += 1
        first[path] = times[0]
        steady = sorted(times[1:])
        yield frame.at_most(f"{path}, p50", statistics.median(steady), 5, unit="ms", anchor=ANCHOR)
        late = steady[int(0.99 * len(steady))]
        yield frame.at_most(f"{path}, p99", late, 5, unit="ms", anchor=ANCHOR)
    worst = max(first, key=lambda path: first[path])
    yield frame.at_most(f"first call, worst ({worst})", first[worst], 50, unit="ms")
    yield frame.at_least("answers equal to the model's own", right / total, 1)


def _swapped(
    caller: Caller, tars: Sequence[bytes], protos: Sequence[bytes], calls: Calls, count: int
) -> Iterator[frame.Figure]:
    """Puts parts in turn while calls go on."""
    ended = threading.Event()
    failed: list[tuple[int, bytes]] = []
    times: list[float] = []

    def load() -> None:
        own = Caller(*caller.address)
        paths = ["/model/methods/predict", "/transformCSVDefault", "/transformJSONDefault"]
        while not ended.is_set():
            for path in paths:
                method, body = calls[path]
                status, data, ms = own.send(method, path, body)
                times.append(ms)
                if status != 200 or not data:
                    failed.append((status, data))

    threads = [threading.Thread(target=load) for _ in range(2)]
    for thread in threads:
        thread.start()
    refused = 0
    swaps: list[float] = []
    try:
        for number in range(count):
            put = form({"model": tars[number % 2], "proto": protos[number % 2]})
            status, data, ms = caller.send("PUT", "/model", put)
            assert status == 200, data[:300]
            swaps.append(ms)
            bad = form({"proto": b"message {"} if number % 2 else {"model": tars[0][:5000]})
            path = "/proto" if number % 2 else "/model"
            refused += caller.send("PUT", path, bad)[0] == 422
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    yield frame.at_most(f"calls of {len(times)} that failed in {count} swaps", len(failed), 0)
    yield frame.at_least("broken models and schemas refused", refused / count, 1)
    yield frame.informs("swap of model and schema, p50", statistics.median(swaps), unit="ms")
    yield frame.informs("call while swapped, p50", statistics.median(times), unit="ms")
    yield frame.informs("call while swapped, worst", max(times), unit="ms")
