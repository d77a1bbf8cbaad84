"""A layer of libraries that lends those of this environment, so that no index is asked."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path
from typing import IO

from executors.packaging import archives
from executors.packaging.oci.dependencies import Wanted
from executors.packaging.oci.layers import LayerCache, Role

REQUIREMENTS = "numpy\nonnxruntime\n"
_MODULE = """\
import importlib, sys
sys.path.insert(0, {site!r})
del sys.modules[__name__]
importlib.import_module(__name__)
"""


def lend(root: Path) -> None:
    """Keep a layer for `REQUIREMENTS` whose modules are found where this environment has them."""
    wanted = Wanted(
        requirements=REQUIREMENTS, version=f"{sys.version_info.major}.{sys.version_info.minor}"
    )
    LayerCache(root).make(wanted.key, Role.DEPENDENCIES, _write)


def _write(sink: IO[bytes]) -> None:
    site = sysconfig.get_path("purelib")
    text = _MODULE.format(site=site).encode()
    files = {f"opt/berth/site/{name}.py": text for name in ("numpy", "onnxruntime")}
    sink.write(archives.pack_files(files))
