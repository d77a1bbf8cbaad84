"""Command line: `python -m benchmarks NAME [--data DIR] [--json FILE] [--quick]`, or `list`.

A benchmark may take options of its own: `python -m benchmarks NAME --help` names them.

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
    given = sys.argv[1:] if arguments is None else list(arguments)
    # The name comes first, so that the rest can be read by what that benchmark understands.
    if given and given[0] == "list":
        known = frame.catalogue()
        width = max(map(len, known), default=0)
        print("\n".join(f"{name.ljust(width)}  {summary}" for name, summary in known.items()))
        return 0
    try:
        benchmark = frame.load(given[0]) if given and not given[0].startswith("-") else None
        options = _parser(benchmark).parse_args(given)
        return run_one(benchmark or frame.load(options.name), options)
    except frame.BenchmarkError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _parser(benchmark: frame.Benchmark | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", help="a name from `list`, or `list`")
    parser.add_argument("--data", type=Path, default=None, help="folder laid out as ../shared/data")
    parser.add_argument("--json", type=Path, default=None, help="also write the figures here")
    parser.add_argument("--quick", action="store_true", help="a first figure within a minute")
    if benchmark is not None and benchmark.add_options is not None:
        benchmark.add_options(parser.add_argument_group(f"options of {benchmark.name}"))
    return parser


def run_one(benchmark: frame.Benchmark, options: argparse.Namespace) -> int:
    """Runs one benchmark, prints its table and returns 0 where every bar holds, else 1."""
    with tempfile.TemporaryDirectory(prefix="berth-bench-") as scratch:
        context = frame.Context(
            data=options.data or frame.default_data(),
            scratch=Path(scratch),
            quick=options.quick,
            options=vars(options),
        )
        figures = list(benchmark.run(context))
    print(frame.table(figures))
    if options.json is not None:
        now = datetime.datetime.now(datetime.UTC)
        frame.write_json(options.json, frame.document(benchmark.name, figures, now=now))
    return 0 if all(figure.holds for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
