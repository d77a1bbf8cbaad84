"""Makes a process count the lines it runs: executed when Python starts, from `counted_lines.pth`.

Modules that were given probes are loaded from where they were prepared, as long as their sources
are unchanged. Counts are a file that all processes share in memory: what was counted stays whatever
happens to a process, and nothing need be written when it ends.
"""

import builtins
import importlib.machinery
import marshal
import mmap
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import CodeType, ModuleType

FOLDER = "LINES_COUNTED_IN"
"""Environment variable that names the folder of what was prepared."""

Module = tuple[str, int, int, str, int, int]
"""File of a module's byte code, time and size of its source, name, start and length of counts."""


class Loader(importlib.machinery.SourceFileLoader):
    """Loads a module's byte code with probes."""

    def __init__(self, name: str, path: str, code: str) -> None:
        super().__init__(name, path)
        self._code = code

    def get_code(self, fullname: str) -> CodeType | None:
        """Return the byte code that was prepared."""
        del fullname
        code: CodeType = marshal.loads(Path(self._code).read_bytes())
        return code


class Finder:
    """Finds modules as Python does, and loads those that were prepared with their probes."""

    def __init__(self, packages: Sequence[str], modules: dict[str, Module]) -> None:
        self._packages = frozenset(packages)
        self._modules = modules

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return where a module is and what loads it; None leaves it to Python."""
        if fullname.partition(".")[0] not in self._packages:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.origin not in self._modules:
            return None
        code, modified_ns, size, *_ = self._modules[spec.origin]
        status = Path(spec.origin).stat()
        if (status.st_mtime_ns, status.st_size) != (modified_ns, size):
            return None
        spec.loader = Loader(fullname, spec.origin, code)
        return spec


def start(folder: Path) -> None:
    """Count from now on what is imported."""
    packages, modules = marshal.loads((folder / "prepared").read_bytes())
    with (folder / "counts").open("r+b") as file:
        counts = memoryview(mmap.mmap(file.fileno(), 0))
    for _, _, _, name, offset, length in modules.values():
        setattr(builtins, name, counts[offset : offset + length])
    # Not as a subclass of Python's own finder: that one is asked for distributions as well.
    sys.meta_path.insert(0, Finder(packages, modules))


if os.environ.get(FOLDER):
    start(Path(os.environ[FOLDER]))
