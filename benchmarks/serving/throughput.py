"""Requests per second of one iris classifier, beside Triton, MLServer and KServe in the same run.

The same scikit-learn model, one process a server. REST by wrk (one thread) with 16 and 64
connections, gRPC by h2load with 16; all servers are up, and are asked in turn, round by round, so
that a busy machine is busy for all. A ratio is the median of the rounds' ratios; that of processor
times says least about what else the machine did. A server that is not installed here is named and
left out.
"""

import contextlib
import dataclasses
import json
import re
import shutil
import struct
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from benchmarks import frame
from benchmarks.serving import _competitors, _models, _servers
from benchmarks.serving._competitors import Competitor
from executors.serving.v2 import messages

ROUNDS = 5
QUICK_ROUNDS = 1
SECONDS = 3
OURS = "Berth"
_WRK_SCRIPT = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = [==[{body}]==]
"""


@dataclass(frozen=True, slots=True)
class Load:
    """A kind of load."""

    name: str
    connections: int
    is_grpc: bool = False


@dataclass(frozen=True, slots=True)
class Measured:
    """What a server did in one round."""

    rate: float
    p50_ms: float
    p99_ms: float
    failed: int
    processor_ms: float = 0.0
    """Processor time of the server and its children for a request."""


LOADS = (Load("REST c=16", 16), Load("REST c=64", 64), Load("gRPC c=16", 16, is_grpc=True))
Rounds = dict[tuple[str, str], list[Measured]]


def add_options(group) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001 - argparse's own class
    """Adds how long and how often each server is asked."""
    group.add_argument("--rounds", type=int, default=0, help=f"rounds ({ROUNDS})")
    group.add_argument("--seconds", type=int, default=SECONDS, help="seconds a load")


def run(context: frame.Context) -> Iterator[frame.Figure]:
    """Yields rates, latencies and ratios."""
    rounds = context.options.get("rounds") or (QUICK_ROUNDS if context.quick else ROUNDS)
    seconds = context.options.get("seconds", SECONDS)
    repository = context.scratch / "repository"
    _models.write_skops(_models.logistic(), repository / "iris" / "1", outputs_given=["label"])
    rows, asked, labels, _ = _models.iris()
    with contextlib.ExitStack() as stack:
        ours = stack.enter_context(_servers.ours(repository, context.scratch))
        servers = [Competitor(OURS, ours.port, ours.grpc_port, ours.process_id)]
        for start in (_competitors.triton, _competitors.mlserver, _competitors.kserve):
            found = stack.enter_context(_or_none(start, context.scratch, rows, labels))
            if found is None:
                print(f"{start.__name__}: not run, it cannot be installed here", file=sys.stderr)
            else:
                servers.append(found)
        for server in servers:
            check(server, asked[0], int(_models.logistic().predict(asked[:1])[0]))
        found_rounds = measure(servers, asked[0], context.scratch, rounds=rounds, seconds=seconds)
    yield from figures(servers, found_rounds)


@contextlib.contextmanager
def _or_none(start, *arguments) -> Iterator[Competitor | None]:  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN002
    """Starts a competitor; None when it does not come up."""
    try:
        manager = start(*arguments)
        found = manager.__enter__()
    except (RuntimeError, TimeoutError, OSError, subprocess.SubprocessError) as error:
        print(f"{start.__name__}: {error}", file=sys.stderr)
        yield None
        return
    try:
        yield found
    finally:
        manager.__exit__(None, None, None)


def check(server: Competitor, row: Sequence[float], expected: int) -> None:
    """Refuses to measure a server that answers wrongly."""
    url = f"http://127.0.0.1:{server.port}/v2/models/iris/infer"
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, _models.body(row), headers)
    with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310 - as above
        answer = json.loads(response.read())
    if answer["outputs"][0]["data"] != [expected]:
        raise RuntimeError(f"{server.name} answers {answer}, expected {expected}")


def measure(
    servers: Sequence[Competitor],
    row: Sequence[float],
    scratch: Path,
    *,
    rounds: int,
    seconds: int,
) -> Rounds:
    """Asks every server with every load, in turn."""
    script = scratch / "post.lua"
    script.write_text(_WRK_SCRIPT.format(body=_models.body(row).decode()))
    message = scratch / "message.bin"
    message.write_bytes(grpc_body(row))
    found: Rounds = {}
    for number in range(rounds):
        for load in LOADS:
            turn = number % len(servers)  # nobody is always first
            for server in (*servers[turn:], *servers[:turn]):
                if load.is_grpc and server.name == "MLServer":
                    continue
                before = processor_seconds(server.process_id)
                measured = (
                    h2load(server.grpc_port, load.connections, message, seconds)
                    if load.is_grpc
                    else wrk(server.port, load.connections, script, seconds)
                )
                used = processor_seconds(server.process_id) - before
                each = dataclasses.replace(
                    measured, processor_ms=used * 1000 / max(1.0, measured.rate * seconds)
                )
                found.setdefault((server.name, load.name), []).append(each)
    return found


def processor_seconds(process_id: int) -> float:
    """Returns the processor time that a server and its children have used."""
    process = psutil.Process(process_id)
    times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
    return float(sum(each.user + each.system for each in times))


def wrk(port: int, connections: int, script: Path, seconds: int) -> Measured:
    """Asks over REST."""
    program = shutil.which("wrk")
    if program is None:
        raise frame.BenchmarkError("wrk is missing: apt-get install wrk")
    url = f"http://127.0.0.1:{port}/v2/models/iris/infer"
    command = [program, "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", str(script)]
    done = subprocess.run([*command, url], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"wrk cannot ask {url}: {done.stdout.strip()} {done.stderr.strip()}")
    text = done.stdout
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    return Measured(
        rate=float(re.findall(r"Requests/sec:\s+([\d.]+)", text)[0]),
        p50_ms=_ms(re.findall(r"^\s+50%\s+(\S+)", text, re.MULTILINE)[0]),
        p99_ms=_ms(re.findall(r"^\s+99%\s+(\S+)", text, re.MULTILINE)[0]),
        failed=int(bad.group(1)) if bad else 0,
    )


def h2load(port: int, connections: int, message: Path, seconds: int) -> Measured:
    """Asks over gRPC, one call at a time on each connection."""
    program = shutil.which("h2load")
    if program is None:
        raise frame.BenchmarkError("h2load is missing: apt-get install nghttp2-client")
    url = f"http://127.0.0.1:{port}/{messages.SERVICE}/ModelInfer"
    log = message.with_suffix(".log")
    log.unlink(missing_ok=True)
    command = [program, "-t1", f"-c{connections}", "-m1", f"-D{seconds}", f"-d{message}"]
    command += ["-H", "content-type: application/grpc", "-H", "te: trailers"]
    command += [f"--log-file={log}", url]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    entries = [line.split("\t") for line in log.read_text().splitlines()]
    times = np.array([float(entry[2]) / 1000 for entry in entries if entry[1] == "200"])
    failed = sum(entry[1] != "200" for entry in entries)
    if not len(times):
        raise RuntimeError(f"no call was answered: {text}")
    return Measured(
        rate=len(times) / seconds,
        p50_ms=float(np.percentile(times, 50)),
        p99_ms=float(np.percentile(times, 99)),
        failed=failed,
    )


def grpc_body(row: Sequence[float]) -> bytes:
    """Returns a call's message with its prefix."""
    request = messages.CLASSES["ModelInferRequest"](model_name="iris")
    request.inputs.add(name="features", datatype="FP64", shape=[1, 4])
    request.raw_input_contents.append(np.array(row, dtype="<f8").tobytes())
    data: bytes = request.SerializeToString()
    return struct.pack(">BI", 0, len(data)) + data


def figures(servers: Sequence[Competitor], found: Rounds) -> Iterator[frame.Figure]:
    """Yields what each server reached, then the ratios with their bars."""
    names = [server.name for server in servers]
    for load in LOADS:
        for name in names:
            rounds = found.get((name, load.name))
            if rounds:
                yield from _reached(name, load, rounds)
    failed = sum(each.failed for (name, _), r in found.items() if name == OURS for each in r)
    yield frame.at_most("failed requests of ours", failed, 0)
    bars = {
        ("REST c=16", "Triton"): 1.15,
        ("REST c=64", "Triton"): 1.3,
        ("REST c=16", "MLServer"): 6.0,
        ("REST c=64", "MLServer"): 6.0,
        ("gRPC c=16", "KServe"): 1.15,
    }
    for (load_name, peer), bar in bars.items():
        if (peer, load_name) in found:
            value = ratio(found, load_name, peer, "rate")
            yield frame.at_least(f"{load_name}: rate over {peer}'s", value, bar)
    for load_name in ("REST c=16", "REST c=64"):
        if ("Triton", load_name) in found:
            value = ratio(found, load_name, "Triton", "p99_ms")
            yield frame.at_most(f"{load_name}: p99 over Triton's", value, 1.0)
            used = ratio(found, load_name, "Triton", "processor_ms")
            yield frame.informs(f"{load_name}: processor time a request over Triton's", used)
    if ("Triton", "gRPC c=16") in found:
        value = ratio(found, "gRPC c=16", "Triton", "rate")
        yield frame.informs("gRPC c=16: rate over Triton's", value, anchor="stretch: 1")


def _reached(name: str, load: Load, rounds: Sequence[Measured]) -> Iterator[frame.Figure]:
    """Yields the medians of a server's rounds."""
    rate = float(np.median([each.rate for each in rounds]))
    yield frame.informs(f"{load.name}: {name}", rate, unit="1/s")
    p99 = float(np.median([each.p99_ms for each in rounds]))
    yield frame.informs(f"{load.name}: {name}, p99", p99, unit="ms")


def ratio(found: Rounds, load: str, peer: str, field: str) -> float:
    """Returns the median over the rounds of ours over a peer's."""
    pairs = zip(found[OURS, load], found[peer, load], strict=True)
    return float(np.median([getattr(own, field) / getattr(other, field) for own, other in pairs]))


def _ms(text: str) -> float:
    """Reads a time as wrk writes it."""
    for unit, factor in (("us", 0.001), ("ms", 1.0), ("s", 1000.0)):
        if text.endswith(unit):
            return float(text.removesuffix(unit)) * factor
    raise ValueError(text)
