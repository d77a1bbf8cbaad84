"""Command line: `python -m benchmarks NAME [--data DIR] [--json FILE] [--quick]`, or `list`.

Exits 0 where every bar holds, 1 where one does not, 2 where the benchmark cannot be run as asked.
"""

import argparse
import datetime
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks import frame


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one benchmark, or lists all; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", help="a name from `list`, or `list`")
    parser.add_argument("--data", type=Path, default=None, help="folder laid out as ../shared/data")
    parser.add_argument("--json", type=Path, default=None, help="also write the figures here")
    parser.add_argument("--quick", action="store_true", help="a first figure within a minute")
    options = parser.parse_args(arguments)
    if options.name == "list":
        known = frame.catalogue()
        width = max(map(len, known), default=0)
        print("\n".join(f"{name.ljust(width)}  {summary}" for name, summary in known.items()))
        return 0
    try:
        return run_one(
            options.name,
            data=options.data or frame.default_data(),
            json_file=options.json,
            quick=options.quick,
        )
    except frame.BenchmarkError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def run_one(name: str, *, data: Path, json_file: Path | None, quick: bool) -> int:
    """Runs one benchmark, prints its table and returns 0 where every bar holds, else 1."""
    run = frame.load(name)
    with tempfile.TemporaryDirectory(prefix="berth-bench-") as scratch:
        context = frame.Context(data=data, scratch=Path(scratch), quick=quick)
        figures = list(run(context))
    print(frame.table(figures))
    if json_file is not None:
        now = datetime.datetime.now(datetime.UTC)
        frame.write_json(json_file, frame.document(name, figures, now=now))
    return 0 if all(figure.holds for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
