"""Counts lines and branches that tests run: `python -m tests.tools.counting prepare|report`.

`prepare` puts probes into the modules of all packages (those that changed since the last time) and
prints the folder to name in the environment variable `LINES_COUNTED_IN` of the processes to count.
`report` writes what they ran to `.coverage`, for `coverage report`.
"""

from __future__ import annotations

import fnmatch
import hashlib
import marshal
import shutil
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from coverage import Coverage, CoverageData

from tests.tools.counting.probes import Fact, probed
from tests.tools.counting.start import FOLDER, Module

ROOT = Path(__file__).resolve().parents[3]
START = Path(__file__).with_name("start.py")
COUNTED = ROOT / "build" / "counting"
ON_START = (
    f'import os; where = os.environ.get("{FOLDER}"); '
    'where and exec(open(os.path.join(where, "start.py")).read(), {"__name__": "counting"})\n'
)
"""What Python runs in each process, from a `.pth` file; nothing unless counting is asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A module whose probes are in place.

    path: of its source; memory: the name that its probes write to; modified_ns, size: of the
    source they were made for; facts: what each probe tells.
    """

    path: Path
    memory: str
    modified_ns: int
    size: int
    facts: tuple[Fact, ...]


def prepare(folder: Path, root: Path) -> None:
    """Put probes into all modules, and set their counts to zero."""
    settings = Coverage(config_file=str(root / "pyproject.toml"))
    packages = _listed(settings, "run:source_pkgs")
    exclude = "|".join(f"(?:{one})" for one in settings.get_exclude_list("exclude"))
    (folder / "modules").mkdir(parents=True, exist_ok=True)
    modules: dict[str, Module] = {}
    offset = 0
    made_by = _version(exclude)
    for path in _sources(root, packages, _listed(settings, "run:omit")):
        one = _prepare(path, folder, exclude=exclude, name=_name(path, root), made_by=made_by)
        count = len(one.facts)
        if count:
            code = str(folder / "modules" / f"{one.memory}.code")
            modules[str(path)] = (code, one.modified_ns, one.size, one.memory, offset, count)
        offset += count
    (folder / "counts").write_bytes(bytes(max(offset, 1)))
    (folder / "prepared").write_bytes(marshal.dumps(modules))
    shutil.copy(START, folder / "start.py")


def _listed(settings: Coverage, option: str) -> list[str]:
    value = settings.get_option(option)
    return list(value) if isinstance(value, list) else []


def _version(exclude: str) -> str:
    """Return what changes when probes would be others for the same source."""
    made_of = Path(probed.__code__.co_filename).read_bytes() + exclude.encode()
    return hashlib.sha256(made_of + sys.version.encode()).hexdigest()


def _sources(root: Path, packages: list[str], omit: list[str]) -> Iterator[Path]:
    for package in packages:
        for path in sorted((root / package).rglob("*.py")):
            if not any(fnmatch.fnmatch(str(path), pattern) for pattern in omit):
                yield path


def _name(path: Path, root: Path) -> str:
    """Return the name that probes of a module write to: one that no code uses."""
    return "_counts_" + "_".join(path.relative_to(root).with_suffix("").parts)


def _prepare(path: Path, folder: Path, *, exclude: str, name: str, made_by: str) -> Prepared:
    status = path.stat()
    kept = folder / "modules" / f"{name}.facts"
    stamp = [made_by, str(path), status.st_mtime_ns, status.st_size]
    facts: tuple[Fact, ...] | None = None
    if kept.exists():
        known, facts_kept = marshal.loads(kept.read_bytes())
        facts = facts_kept if known == stamp else None
    if facts is None:
        made = probed(path.read_text(encoding="utf-8"), memory=name, exclude=exclude)
        code = compile(made.tree, str(path), "exec", dont_inherit=True)
        (folder / "modules" / f"{name}.code").write_bytes(marshal.dumps(code))
        kept.write_bytes(marshal.dumps((stamp, made.facts)))
        facts = made.facts
    return Prepared(
        path=path,
        memory=name,
        modified_ns=status.st_mtime_ns,
        size=status.st_size,
        facts=facts,
    )


def report(folder: Path, root: Path, to: Path) -> None:
    """Write what was counted as data of `coverage`."""
    data = CoverageData(basename=str(to))
    data.erase()
    counts = (folder / "counts").read_bytes()
    modules: dict[str, Module] = marshal.loads((folder / "prepared").read_bytes())
    ran: dict[str, set[tuple[int, int]]] = {}
    for path, (_, _, _, memory, offset, count) in modules.items():
        _, facts = marshal.loads((folder / "modules" / f"{memory}.facts").read_bytes())
        passed = zip(counts[offset : offset + count], facts, strict=True)
        told = [fact for counted, fact in passed if counted]
        # A line that ran is written as a step onto itself.
        lines = {(line, line) for lines, _ in told for line in lines}
        taken = {arc for _, arcs in told for arc in arcs}
        ran[str(Path(path).relative_to(root))] = lines | taken
    data.add_arcs(ran)
    data.touch_files(ran)
    data.write()


def main(arguments: list[str]) -> int:
    """Do what the argument says."""
    match arguments:
        case ["prepare"]:
            prepare(COUNTED, ROOT)
            installed = Path(sysconfig.get_paths()["purelib"]) / "counted_lines.pth"
            if not installed.exists() or installed.read_text(encoding="utf-8") != ON_START:
                installed.write_text(ON_START, encoding="utf-8")
            sys.stdout.write(f"{COUNTED}\n")
        case ["report"]:
            report(COUNTED, ROOT, ROOT / ".coverage")
        case _:
            sys.stderr.write(f"{__doc__}\n")
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
