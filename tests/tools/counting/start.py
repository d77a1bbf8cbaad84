"""Makes a process count the lines it runs: executed when Python starts, from `counted_lines.pth`.

Modules that were given probes are loaded from where they were prepared, as long as their sources
are unchanged. Counts are a file that all processes share in memory: what was counted stays whatever
happens to a process, and nothing need be written when it ends.
"""

import builtins
import marshal
import mmap
import os
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType

FOLDER = "LINES_COUNTED_IN"
"""Environment variable that names the folder of what was prepared."""

Module = tuple[str, int, int, str, int, int]
"""File of a module's byte code, time and size of its source, name, start and length of counts."""


def start(folder: Path) -> None:
    """Count from now on what is imported."""
    modules: dict[str, Module] = marshal.loads((folder / "prepared").read_bytes())
    with (folder / "counts").open("r+b") as file:
        counts = memoryview(mmap.mmap(file.fileno(), 0))
    for _, _, _, name, offset, length in modules.values():
        setattr(builtins, name, counts[offset : offset + length])
    plain = SourceFileLoader.get_code

    def get_code(loader: SourceFileLoader, fullname: str) -> CodeType | None:
        """Return the byte code that was prepared for a module, or the one that Python makes."""
        prepared = modules.get(loader.path)
        if prepared is None:
            return plain(loader, fullname)
        code, modified_ns, size, *_ = prepared
        status = Path(loader.path).stat()
        if (status.st_mtime_ns, status.st_size) != (modified_ns, size):
            return plain(loader, fullname)
        probed: CodeType = marshal.loads(Path(code).read_bytes())
        return probed

    # In the loader of all sources, so that scripts which libraries load by their paths count too.
    setattr(SourceFileLoader, "get_code", get_code)  # noqa: B010 - checkers forbid it as a name


if os.environ.get(FOLDER):
    start(Path(os.environ[FOLDER]))
