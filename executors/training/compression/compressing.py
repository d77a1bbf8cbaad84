"""Compression within a budget: each step is kept only when the quality stays within it.

Channels are pruned by rising shares, each with fine-tuning, as long as the budget holds; then full
layers are factorised; then the network is written as ONNX, and in 8 bits where that is smaller or
faster. Everything is measured before and after.
"""

from __future__ import annotations

import copy
import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from executors.training.compression import export, low_rank, operations, pruning, quantising

torch: Any = importlib.import_module("torch")
SHARES = (0.3, 0.5, 0.65)
_ENERGY = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """One form of a network in figures. Latency is the median of one row on one thread."""

    name: str
    quality: float
    multiply_adds: int
    parameters: int
    size_bytes: int
    latency_seconds: float
    accepted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Compressed:
    """What came of a network: every form that was tried, the first the original; the one to use."""

    forms: tuple[Form, ...]
    chosen: Form
    model: Any
    onnx: bytes

    def table(self) -> str:
        """Return all forms as a table."""
        first = self.forms[0]
        width = max(len(form.name) for form in self.forms)
        lines = [
            f"{'FORM'.ljust(width)}  QUALITY      OPS  WEIGHTS      KB  LATENCY US  FASTER  KEPT"
        ]
        lines += [
            f"{f.name.ljust(width)}  {f.quality:7.4f}  {f.multiply_adds:7}  {f.parameters:7}  "
            f"{f.size_bytes / 1000:6.1f}  {1e6 * f.latency_seconds:10.1f}  "
            f"{first.latency_seconds / f.latency_seconds:6.2f}  "
            f"{'chosen' if f == self.chosen else 'yes' if f.accepted else 'no'}"
            for f in self.forms
        ]
        return "\n".join(lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What is compressed, and how it is judged.

    tune: learns on, changing the network it is given. rows, labels: held-out ones that judge.
    calibration: rows that show which values occur. budget: quality that may be lost, as a share.
    """

    model: Any
    tune: Callable[[Any], None]
    rows: NDArray[np.float32]
    labels: NDArray[np.int64]
    calibration: NDArray[np.float32]
    budget: float = 0.015
    shares: Sequence[float] = SHARES


def compress(task: Task, *, clock: Callable[[], float]) -> Compressed:
    """Compress a network; it comes back as it was where nothing stays within the budget."""
    least = _quality(export.eager(task.model), task) - task.budget
    tried: dict[str, Any] = {"as trained": task.model}
    model = task.model
    for share in task.shares:
        candidate = pruning.pruned(task.model, share)
        task.tune(candidate)
        tried[f"pruned {share:.0%}"] = candidate
        if _quality(export.eager(candidate), task) < least:
            break
        model = candidate
    thin = low_rank.factorised(copy.deepcopy(model), _ENERGY)
    if operations.parameters(thin) < operations.parameters(model):
        task.tune(thin)
        tried["and factorised"] = thin
        if _quality(export.eager(thin), task) >= least:
            model = thin
    return _choose(task, tried, model, least, clock)


def _choose(
    task: Task,
    tried: dict[str, Any],
    model: Any,  # noqa: ANN401 - a module
    least: float,
    clock: Callable[[], float],
) -> Compressed:
    """Write the network as ONNX, measure all forms in turn, choose the fastest allowed one."""
    sample = torch.from_numpy(task.rows[:1])
    whole = export.to_onnx(task.model, sample)
    small = export.to_onnx(model, sample)
    files = {
        "as trained, ONNX": (task.model, whole),
        "smallest, ONNX": (model, small),
        "smallest, ONNX in 8 bits": (model, quantising.quantised(small, task.calibration)),
    }
    answers = {name: export.eager(network) for name, network in tried.items()}
    answers |= {name: export.session(data) for name, (_, data) in files.items()}
    seconds = export.latencies(answers, task.rows[:1], clock=clock)
    forms = []
    for name, answer in answers.items():
        network = tried[name] if name in tried else files[name][0]
        quality = _quality(answer, task)
        form = Form(
            name=name,
            quality=quality,
            multiply_adds=operations.multiply_adds(network, sample),
            parameters=operations.parameters(network),
            size_bytes=(operations.size_bytes(network) if name in tried else len(files[name][1])),
            latency_seconds=seconds[name],
            accepted=quality >= least,
        )
        forms.append(form)
    within = [form for form in forms if form.name in files and form.accepted]
    chosen = min(within, key=lambda form: form.latency_seconds, default=forms[0])
    data = files[chosen.name][1] if chosen.name in files else whole
    return Compressed(forms=tuple(forms), chosen=chosen, model=model, onnx=data)


def _quality(answer: export.Answer, task: Task) -> float:
    """Return the share of held-out rows classified right."""
    return float((answer(task.rows).argmax(axis=1) == task.labels).mean())
