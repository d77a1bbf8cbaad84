"""What every benchmark shares: its input, its figures, how they are shown and stored.

A benchmark is a module below `benchmarks` with a docstring, whose first line says what is
measured, and a function `run(context: Context) -> Iterable[Figure]`. Its name is its path with
dots: `cli.start` is `benchmarks/cli/start.py`. It may define `add_options(group)` to take options
of its own, which it then finds in `context.options`. Files of data are found by pattern
(`Context.files`), never from a list of names, so that other data of the same layout can be given.
"""

import argparse
import ast
import dataclasses
import datetime
import gzip
import importlib
import json
import os
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent
GZIP = b"\x1f\x8b"
NOT_BENCHMARKS = {"frame.py", "__init__.py", "__main__.py"}


class BenchmarkError(Exception):
    """A benchmark cannot be run as asked; the message says what to do."""


class UnknownBenchmarkError(BenchmarkError):
    """There is no benchmark of this name."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        super().__init__(f"no benchmark {name!r}; known: {', '.join(known)}")


class MissingDataError(BenchmarkError):
    """The data folder holds no file that matches."""

    def __init__(self, folder: Path, pattern: str) -> None:
        super().__init__(
            f"no file matches {pattern!r} in {str(folder)!r}; "
            "give the folder with `--data` or BERTH_DATA"
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured number and the bar that it must meet.

    Attributes:
        name: What is measured, in words.
        value: The measured value.
        unit: Unit of value and bar, empty for pure numbers.
        bar: The bar in words such as "at most 0.35", empty where there is none.
        anchor: What else reaches, for comparison: a published value, a simple method, a limit.
        holds: Whether the value meets the bar; True where there is none.
    """

    name: str
    value: float
    unit: str = ""
    bar: str = ""
    anchor: str = ""
    holds: bool = True


def at_most(name: str, value: float, bar: float, *, unit: str = "", anchor: str = "") -> Figure:
    """Returns a figure that holds when its value is at most the bar."""
    return Figure(
        name=name, value=value, unit=unit, bar=f"at most {bar:g}", anchor=anchor, holds=value <= bar
    )


def at_least(name: str, value: float, bar: float, *, unit: str = "", anchor: str = "") -> Figure:
    """Returns a figure that holds when its value is at least the bar."""
    return Figure(
        name=name,
        value=value,
        unit=unit,
        bar=f"at least {bar:g}",
        anchor=anchor,
        holds=value >= bar,
    )


def no_data(what: str, pattern: str) -> Figure:
    """Return the figure that says what could not be measured; it never holds."""
    return Figure(name=f"{what}: files like {pattern}", value=0.0, bar="at least 1", holds=False)


def informs(name: str, value: float, *, unit: str = "", anchor: str = "") -> Figure:
    """Returns a figure without a bar."""
    return Figure(name=name, value=value, unit=unit, anchor=anchor)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a benchmark is given.

    Attributes:
        data: Folder of data; may be absent.
        scratch: An empty folder that is removed afterwards.
        quick: Whether a first figure is wanted within a minute.
        options: The benchmark's own options by name, with their defaults filled in.
    """

    data: Path
    scratch: Path
    quick: bool = False
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def files(self, pattern: str) -> list[Path]:
        """Returns the files below the data folder that match, sorted by path.

        Raises:
            MissingDataError: Nothing matches.
        """
        found = sorted(self.data.glob(pattern))
        if not found:
            raise MissingDataError(self.data, pattern)
        return found

    def text(self, path: Path) -> str:
        """Return the text of a file, unpacked where gzip packed it, whatever its name ends in."""
        content = path.read_bytes()
        if content.startswith(GZIP):
            content = gzip.decompress(content)
        return content.decode()

    def file(self, pattern: str) -> Path:
        """Returns the first file that matches."""
        return self.files(pattern)[0]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """A benchmark by its name: what runs it, and what adds its own options where it has some."""

    name: str
    run: Callable[[Context], Iterable[Figure]]
    add_options: Callable[[argparse._ArgumentGroup], None] | None


def catalogue() -> dict[str, str]:
    """Returns every benchmark's name with what it measures, without importing any of them."""
    found: dict[str, str] = {}
    for path in sorted(ROOT.rglob("*.py")):
        if path.name in NOT_BENCHMARKS or path.name.startswith("_"):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if any(isinstance(node, ast.FunctionDef) and node.name == "run" for node in tree.body):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            found[name] = (ast.get_docstring(tree) or "").partition("\n")[0]
    return found


def load(name: str) -> Benchmark:
    """Imports a benchmark.

    Raises:
        UnknownBenchmarkError: There is none of this name.
    """
    known = catalogue()
    if name not in known:
        raise UnknownBenchmarkError(name, sorted(known))
    module = importlib.import_module(f"benchmarks.{name}")
    return Benchmark(name=name, run=module.run, add_options=getattr(module, "add_options", None))


def default_data() -> Path:
    """Returns BERTH_DATA, or `../shared/data` relative to the project's root."""
    return Path(os.environ.get("BERTH_DATA") or ROOT.parent.parent / "shared" / "data")


def machine() -> str:
    """Returns one line about this machine: processor, cores, memory, system, Python."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = len(os.sched_getaffinity(0))
    return (
        f"{model}, {cores} cores, {memory_gib:.0f} GiB, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}"
    )


def document(name: str, figures: Sequence[Figure], *, now: datetime.datetime) -> dict[str, object]:
    """Returns the JSON document of one run."""
    return {
        "benchmark": name,
        "version": metadata.version("berth"),
        "date": now.astimezone(datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "machine": machine(),
        "figures": [dataclasses.asdict(figure) for figure in figures],
    }


def write_json(path: Path, content: dict[str, object]) -> None:
    """Writes the document of one run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def table(figures: Sequence[Figure]) -> str:
    """Returns the figures as an aligned table."""
    header = ("FIGURE", "VALUE", "UNIT", "BAR", "ANCHOR", "HOLDS")
    rows = [
        (
            figure.name,
            f"{figure.value:.4g}" if abs(figure.value) < 10_000 else f"{figure.value:,.0f}",
            figure.unit,
            figure.bar or "-",
            figure.anchor or "-",
            ("yes" if figure.holds else "NO") if figure.bar else "-",
        )
        for figure in figures
    ]
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    lines = []
    for row in (header, *rows):
        cells = [
            cell.rjust(width) if column == 1 else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
