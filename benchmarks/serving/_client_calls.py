# ruff: noqa: ANN401 - what the clients give has no types here
"""The calls of one client library, run in its own environment; prints one JSON line a call.

python _client_calls.py tritonclient HOST:PORT HOST:GRPC_PORT
"""

import asyncio
import json
import sys
from collections.abc import Callable
from typing import Any

MODEL = "iris"
INPUT = "features"
ROWS = [[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]]
EXPECTED = [0, 2]


def report(name: str, call: Callable[[], Any]) -> None:
    """Runs a call; a call that raises or gives what it should not has failed."""
    try:
        answer = call()
        good, said = bool(answer), "" if answer else f"gave {answer!r}"
    except Exception as error:  # whatever a client raises is the finding
        good, said = False, f"{type(error).__name__}: {error}"[:300]
    print(json.dumps({"call": name, "good": good, "said": said}), flush=True)


def triton_http(address: str) -> None:
    """12 calls of tritonclient over HTTP."""
    import numpy as np  # noqa: PLC0415 - of the environment of the client
    import tritonclient.http as library  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415

    client = library.InferenceServerClient(address)

    def infer(*, binary: bool, **more: Any) -> bool:
        tensor = library.InferInput(INPUT, [2, 4], "FP64")
        tensor.set_data_from_numpy(np.array(ROWS), binary_data=binary)
        wanted = [library.InferRequestedOutput("label", binary_data=binary)]
        found = client.infer(MODEL, [tensor], outputs=wanted, **more).as_numpy("label")
        return bool(found.tolist() == EXPECTED)

    def loaded() -> bool:
        client.load_model(MODEL)
        return bool(client.is_model_ready(MODEL))

    report("http live", client.is_server_live)
    report("http ready", client.is_server_ready)
    report("http model ready", lambda: client.is_model_ready(MODEL))
    report("http server metadata", lambda: client.get_server_metadata()["name"])
    report("http model metadata", lambda: client.get_model_metadata(MODEL)["inputs"])
    report("http model config", lambda: client.get_model_config(MODEL)["input"])
    report("http statistics", lambda: client.get_inference_statistics(MODEL)["model_stats"])
    report("http index", client.get_model_repository_index)
    report("http load", loaded)
    report("http infer json", lambda: infer(binary=False))
    report("http infer binary", lambda: infer(binary=True))
    packed = {"request_compression_algorithm": "gzip", "response_compression_algorithm": "gzip"}
    report("http infer gzip", lambda: infer(binary=True, **packed))


def triton_grpc(address: str) -> None:
    """10 calls of tritonclient over gRPC."""
    import numpy as np  # noqa: PLC0415 - of the environment of the client
    import tritonclient.grpc as library  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415

    client = library.InferenceServerClient(address)

    def infer() -> bool:
        tensor = library.InferInput(INPUT, [2, 4], "FP64")
        tensor.set_data_from_numpy(np.array(ROWS))
        found = client.infer(MODEL, [tensor]).as_numpy("label")
        return bool(found.tolist() == EXPECTED)

    def loaded() -> bool:
        client.load_model(MODEL)
        return bool(client.is_model_ready(MODEL))

    report("grpc live", client.is_server_live)
    report("grpc ready", client.is_server_ready)
    report("grpc model ready", lambda: client.is_model_ready(MODEL))
    report("grpc server metadata", lambda: client.get_server_metadata().name)
    report("grpc model metadata", lambda: list(client.get_model_metadata(MODEL).inputs))
    report("grpc model config", lambda: list(client.get_model_config(MODEL).config.input))
    statistics = lambda: list(client.get_inference_statistics(MODEL).model_stats)  # noqa: E731
    report("grpc statistics", statistics)
    report("grpc index", lambda: list(client.get_model_repository_index().models))
    report("grpc load", loaded)
    report("grpc infer raw", infer)


def kserve(address: str, grpc_address: str) -> None:
    """7 calls of kserve's clients."""
    import numpy as np  # noqa: PLC0415 - of the environment of the client
    from kserve import (  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415
        InferenceGRPCClient,
        InferenceRESTClient,
        InferInput,
        InferRequest,
        RESTConfig,
    )

    base = f"http://{address}"
    loop = asyncio.new_event_loop()
    rest = InferenceRESTClient(RESTConfig(protocol="v2"))

    def request(*, binary: bool) -> Any:
        tensor = InferInput(INPUT, [2, 4], "FP64")
        tensor.set_data_from_numpy(np.array(ROWS), binary_data=binary)
        return InferRequest(MODEL, [tensor])

    def good(answer: Any) -> bool:
        outputs = {output.name: output for output in answer.outputs}
        return bool(outputs["label"].as_numpy().tolist() == EXPECTED)

    def run(awaitable: Any) -> Any:
        return loop.run_until_complete(awaitable)

    def infer(*, binary: bool) -> bool:
        return good(run(rest.infer(base, request(binary=binary), model_name=MODEL)))

    report("rest live", lambda: run(rest.is_server_live(base)))
    report("rest ready", lambda: run(rest.is_server_ready(base)))
    report("rest model ready", lambda: run(rest.is_model_ready(base, MODEL)))
    report("rest infer json", lambda: infer(binary=False))
    report("rest infer binary", lambda: infer(binary=True))

    async def remote() -> Any:
        return InferenceGRPCClient(grpc_address)

    client = run(remote())
    report(
        "grpc live and ready",
        lambda: run(client.is_server_live()) and run(client.is_server_ready()),
    )
    report("grpc infer", lambda: good(run(client.infer(request(binary=True)))))


if __name__ == "__main__":
    if sys.argv[1] == "kserve":
        kserve(sys.argv[2], sys.argv[3])
    elif sys.argv[1] == "tritonclient-http":
        triton_http(sys.argv[2])
    else:
        triton_grpc(sys.argv[3])
