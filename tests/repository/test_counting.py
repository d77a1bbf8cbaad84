"""Lines and branches are counted by probes as coverage.py's own tracer would count them."""

import os
import runpy
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from coverage import Coverage, CoverageData

from tests.tools.counting import __main__ as counting

SAMPLE = '''
"""A module."""
from __future__ import annotations

import contextlib

LIMIT = 3


def decorated(function):
    return function


@decorated
class Kind:
    """A class."""

    ZERO = 0

    if LIMIT > 5:
        ONE = 1

    @decorated
    @staticmethod
    def of(word):
        return word.upper()


def loops(count):
    total = 0
    for n in range(count):
        if n == 1:
            continue
        if n > 7:
            break
        total += n
    else:
        total += 100
    while total > 50:
        total -= 30
    for _ in []:
        total += 1
    while True:
        total += 1
        if total > 20:
            break
    return total


def cases(value):
    match value:
        case 0:
            name = "zero"
        case int() if value > 10:
            name = "large"
        case [first, *_] | (first, 1):
            name = first
        case {"a": 1}:
            name = "never"
        case str():
            return "early"
    match value:
        case 1:
            return 1
        case _:
            pass
    return 2


def tries(value):
    try:
        number = int(value)
    except TypeError:
        number = -1
    except (
        ValueError,
        KeyError,
    ):
        number = -2
    else:
        if number:
            number += 1
    finally:
        LIMIT
    with contextlib.suppress(ZeroDivisionError):
        with contextlib.nullcontext():
            if number:
                number = 1 / 0
    if number == 5 and (
        value
    ):
        return "five"
    elif number == 6:
        pass
    else:
        def inner():
            yield number
            yield 2
        return list(inner())


async def waits(things):
    async for one in things:
        async with one:
            print(one)
    return None


def excluded():  # pragma: no cover
    if LIMIT:
        return 1


def refuses(value):
    if value is None:
        raise ValueError(value)
    elif value:
        return [v for v in (1, 2) if v > 1]


loops(2)
loops(12)
[cases(v) for v in (0, 3, (7, 8), "x")]
[tries(v) for v in ("1", "0", "y")]
with contextlib.suppress(ValueError):
    refuses(None)
refuses(1)
'''
SETTINGS = '[tool.coverage.run]\nbranch = true\nrelative_files = true\nsource_pkgs = ["sample"]\n'


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a project of one package."""
    (tmp_path / "pyproject.toml").write_text(SETTINGS)
    (tmp_path / "sample").mkdir()
    (tmp_path / "sample" / "__init__.py").write_text("")
    (tmp_path / "sample" / "whole.py").write_text(SAMPLE)
    (tmp_path / "sample" / "unused.py").write_text("LIMIT = 1\n")
    (tmp_path / "sample" / "killed.py").write_text(
        "import os\nimport signal\n\nif os.getpid():\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def counted(project: Path, module: str) -> int:
    """Run a module in a process that counts, write what it ran, and return how it ended."""
    counting.prepare(project / "counting", project)
    program = f"exec(open('counting/start.py').read()); import sample.{module}"
    environment = {"LINES_COUNTED_IN": str(project / "counting"), "PYTHONPATH": str(project)}
    code = subprocess.run([sys.executable, "-c", program], env=environment, check=False).returncode
    counting.report(project / "counting", project, project / ".coverage")
    return code


def traced(project: Path, path: Path) -> Coverage:

    name = str(project / "traced")
    tracer = Coverage(data_file=name, config_file=False, branch=True, include=[str(path)])
    earlier = sys.gettrace()
    tracer.start()
    try:
        runpy.run_path(str(path))
    finally:
        tracer.stop()
        sys.settrace(earlier)
    return tracer


def test_probes_count_what_a_tracer_counts(project: Path) -> None:
    assert counted(project, "whole") == 0
    probes = Coverage(data_file=str(project / ".coverage"), config_file="pyproject.toml")
    probes.load()
    path = project / "sample" / "whole.py"
    tracer = traced(project, path)
    assert probes.analysis2("sample/whole.py")[1:4] == tracer.analysis2(str(path))[1:4]
    assert probes.branch_stats("sample/whole.py") == tracer.branch_stats(str(path))


def test_what_never_ran_is_reported_as_well(project: Path) -> None:
    counted(project, "whole")
    data = CoverageData(basename=str(project / ".coverage"))
    data.read()
    assert "sample/unused.py" in data.measured_files()
    assert data.lines("sample/unused.py") == []


def test_lines_count_although_their_process_is_killed(project: Path) -> None:
    assert counted(project, "killed") == -signal.SIGKILL
    data = CoverageData(basename=str(project / ".coverage"))
    data.read()
    assert sorted(data.lines("sample/killed.py") or []) == [1, 2, 4, 5]


def test_a_script_that_is_loaded_by_its_path_counts(project: Path) -> None:
    (project / "sample" / "script.py").write_text("A = 1\n")
    (project / "sample" / "loads.py").write_text(
        "from importlib.util import module_from_spec, spec_from_file_location\n"
        "from pathlib import Path\n"
        'spec = spec_from_file_location("other", Path(__file__).with_name("script.py"))\n'
        "spec.loader.exec_module(module_from_spec(spec))\n"
    )
    assert counted(project, "loads") == 0
    data = CoverageData(basename=str(project / ".coverage"))
    data.read()
    assert data.lines("sample/script.py") == [1]


def test_a_module_that_changes_gets_other_probes(project: Path) -> None:
    counted(project, "whole")
    (project / "sample" / "whole.py").write_text("A = 1\n\n\n\nB = 2\n")
    os.utime(project / "sample" / "whole.py", ns=(1, 1))
    counted(project, "whole")
    data = CoverageData(basename=str(project / ".coverage"))
    data.read()
    assert sorted(data.lines("sample/whole.py") or []) == [1, 5]
