"""The tests of a model that stand between a push and its image.

No model is opened in the engine's process: each is asked by the image's program in a confined one,
with limits, without network and without the engine's environment. What can run code has the
libraries of its own layer there; ONNX is data, and is tested with the library that is here.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from engine.model.errors import DamagedError, RefusedError
from executors.packaging.repository.package import Package
from executors.packaging.repository.settings import Format
from executors.packaging.repository.surroundings import RUNNING, SERVER, Surroundings
from executors.packaging.security.sandbox.programs import Apart, Program

_REPEATS = 20
_SECONDS_MAX = 120.0
_ANSWER_BYTES_MAX = 64 << 20
_NO_ANSWER = (KeyError, TypeError, ValueError, IndexError, AttributeError)
"""What comes of an answer that is none: it is not ours, and may be anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """One test: what was measured, what is allowed, and whether it holds."""

    name: str
    holds: bool
    said: str


def surroundings(kind: Format, site: Path | None) -> Surroundings:
    """Return what a model is tested with: the folder of its libraries, else those that are here."""
    return Surroundings(kind=kind, libraries=(site,) if site else (), version=RUNNING)


class Checker(Apart):
    """A process that tests one model; its libraries are loaded while it waits for it."""

    def __init__(self, around: Surroundings) -> None:
        super().__init__(
            Program(
                interpreter=Path(sys.executable),
                file=SERVER,
                arguments=("wait", *around.modules),
                libraries=around.libraries,
            )
        )

    def ask(self, package: Package) -> Mapping[str, Any]:
        """Return what a model answers to its examples, and how long it takes; it ends then.

        Raises:
            DamagedError: when it cannot be loaded or does not answer; with its words, or why it
                was ended.
        """
        limit = str(package.settings.latency_ms_p99)
        try:
            self.begin(package.files, "check", str(_REPEATS), limit)
            line = self.line(seconds=_SECONDS_MAX, bytes_max=_ANSWER_BYTES_MAX)
        except DamagedError as error:
            message = f"the model fails: {error.message}"
            raise DamagedError(message, fix=error.fix) from error
        finally:
            self.stop()
        try:
            return cast("dict[str, Any]", json.loads(line))
        except (ValueError, RecursionError) as error:
            raise DamagedError("the model answers what is no answer") from error


def judge(package: Package, checker: Checker) -> tuple[Gate, ...]:
    """Return all tests of a package.

    checker: asks the model, and has ended then; the caller puts it away.
    """
    given = package.settings
    size_mib = package.size_bytes / 2**20
    gates = [
        Gate(
            name="size",
            holds=size_mib <= given.size_mib,
            said=f"{size_mib:.2f} MiB, at most {given.size_mib:g}",
        ),
        *_loss(package.history),
    ]
    try:
        return (*gates, *_answers(package, checker.ask(package)))
    except (DamagedError, RefusedError) as error:
        return (*gates, Gate(name="loads", holds=False, said=error.message))
    except _NO_ANSWER as error:
        said = f"the model answers what is no answer: {error!r}"
        return (*gates, Gate(name="loads", holds=False, said=said))


def _answers(package: Package, found: Mapping[str, Any]) -> Sequence[Gate]:
    """Return the tests that look at answers."""
    outputs = cast("list[dict[str, Any]]", found["outputs"])
    rows = len(package.example["rows"])
    bad = [o["name"] for o in outputs if any(not _finite(value) for value in o["data"])]
    odd = [o["name"] for o in outputs if not o["shape"] or o["shape"][0] != rows]
    wrong = str(found["error"])
    times = sorted(found["latencies_ms"])
    p99 = times[math.ceil(0.99 * len(times)) - 1]
    limit = package.settings.latency_ms_p99
    names = ", ".join(str(output["name"]) for output in outputs)
    return (
        Gate(
            name="schema",
            holds=not odd,
            said=f"outputs {names}" if not odd else f"{odd} do not answer {rows} rows",
        ),
        Gate(
            name="not a number",
            holds=not bad,
            said="none" if not bad else f"outputs {bad} hold NaN or infinity",
        ),
        Gate(name="expected answers", holds=not wrong, said=wrong or f"all of {rows} rows"),
        Gate(name="latency", holds=p99 <= limit, said=f"p99 {p99:.3f} ms, at most {limit:g}"),
    )


def _finite(value: object) -> bool:
    return value is not None and not (isinstance(value, float) and not math.isfinite(value))


def _loss(history: Mapping[str, Any] | None) -> Sequence[Gate]:
    """Return whether the loss fell in training, where the repository tells of one."""
    if history is None:
        return ()
    losses: Any = history.get("loss")
    fine = (
        isinstance(losses, list)
        and len(losses) > 1
        and all(isinstance(value, (int, float)) and math.isfinite(value) for value in losses)
    )
    if not fine:
        said = "history.json holds no `loss` of two or more numbers"
        return (Gate(name="loss falls", holds=False, said=said),)
    first, last = float(losses[0]), float(losses[-1])
    said = f"{first:.4g} to {last:.4g} in {len(losses)} steps"
    return (Gate(name="loss falls", holds=last < first, said=said),)
