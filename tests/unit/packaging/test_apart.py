"""A model that is tested is opened apart: it reaches nothing, and what ends it is told."""

from __future__ import annotations

import errno
import json
import os
import platform
import socket
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from engine.model.errors import DamagedError
from executors.packaging.repository import gates, package, settings
from executors.packaging.repository.gates import Checker, Gate
from executors.packaging.repository.settings import Format
from executors.packaging.security.sandbox import filters
from executors.packaging.security.sandbox.confinement import Bounds
from executors.packaging.security.sandbox.programs import Apart, Program

OWN = 'name = "m"\nformat = "python"\nclass = "model:Model"\nfeatures = ["a"]\n'
MODEL = """
class Model:
    def load(self, folder):
        {what}
    def predict(self, rows):
        return rows[:, 0] * 2
"""
EXAMPLE = json.dumps({"rows": [[1], [2]], "outputs": {"output": [2.0, 4.0]}}).encode()


def judged(toml: str, code: dict[str, bytes], weights: dict[str, bytes]) -> dict[str, Gate]:
    given = settings.read(toml)
    made = package.assemble({"golden.json": EXAMPLE, **code}, weights, given)
    checker = Checker(gates.surroundings(given.format, None))
    home = checker.home
    try:
        return {gate.name: gate for gate in gates.judge(made, checker)}
    finally:
        checker.end()
        assert not home.exists()


def own(what: str) -> dict[str, Gate]:
    return judged(OWN, {"model.py": MODEL.format(what=what).encode()}, {})


def test_a_model_with_an_empty_folder_and_nothing_else_is_tested() -> None:
    look = "import os; assert os.listdir('.') == ['models'] and os.getcwd() == os.environ['HOME']"
    assert all(gate.holds for gate in own(look).values())


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("import socket; socket.create_connection(('127.0.0.1', 9))", "not permitted"),
        ("import socket; socket.socket(socket.AF_UNIX)", "not permitted"),
        ("import subprocess; subprocess.run(['/bin/true'])", "not permitted"),
        ("import os; os.listdir('/root')", "Permission denied"),
        ("import os; os.environ['BERTH_SECRET']", "KeyError"),
        ("open('/tmp/left-by-a-model', 'w')", "Permission denied"),
        ("bytearray(1 << 40)", "MemoryError"),
        ("import ctypes; ctypes.string_at(1)", "it crashed"),
        ("import os; os._exit(0)", "ends before it answers"),
        ("import os; os.write(1, b'x')", ""),
        ("import sys; print('{}'); sys.stdout.flush()", ""),
    ],
)
def test_a_model_reaches_nothing(what: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BERTH_SECRET", "sesame")
    found = own(what)
    if said:
        assert not found["loads"].holds
        assert said in found["loads"].said
    else:
        assert all(gate.holds for gate in found.values())
    assert not Path("/tmp/left-by-a-model").exists()


NUMBERS = filters.TABLES[platform.machine()]
OUTSIDE = "import ctypes, fcntl, os, resource; pid = os.getppid(); "


@pytest.mark.parametrize(
    "what",
    [
        "os.kill(pid, 0)",
        "os.setpriority(os.PRIO_PROCESS, pid, 19)",
        "os.sched_setaffinity(pid, {0})",
        "resource.prlimit(pid, resource.RLIMIT_NOFILE)",
        "fcntl.fcntl(0, fcntl.F_SETOWN, pid)",
        "fcntl.ioctl(0, 0x8901, pid.to_bytes(4, 'little'))",
        *(
            f"ctypes.CDLL(None).syscall({number}, {words}) < 0 and [][0]"
            for number, words in (
                (NUMBERS.refused["tkill"], "pid, 0"),
                (NUMBERS.refused["rt_sigqueueinfo"], "pid, 0, bytes(128)"),
                (NUMBERS.bound["tgkill"], "pid, pid, 0"),
            )
        ),
    ],
)
def test_a_model_does_nothing_to_the_processes_beside_it(what: str) -> None:
    found = own(OUTSIDE + what)
    assert not found["loads"].holds
    assert "not permitted" in found["loads"].said or "IndexError" in found["loads"].said


def test_a_program_may_signal_and_limit_itself(program: Path) -> None:
    found = apart(
        program,
        "import os, resource, signal, threading\n"
        "resource.prlimit(0, resource.RLIMIT_NOFILE)\n"
        "os.sched_setaffinity(0, os.sched_getaffinity(0))\n"
        "signal.signal(signal.SIGUSR1, lambda *_: print('done', flush=True))\n"
        "signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)\n",
    )
    assert found.line(seconds=300, bytes_max=100) == b"done"
    found.end()


CONNECTING = """
import os, socket, sys
listening = socket.socket(fileno=int(os.environ["BERTH_LISTEN"]))
listening.shutdown(socket.SHUT_RDWR)
try:
    listening.sendto(b"x", socket.MSG_FASTOPEN, ("127.0.0.1", int(sys.argv[1])))
except OSError as error:
    print("not", error.errno, flush=True)
else:
    print("sent", flush=True)
"""


def test_a_socket_that_is_handed_down_connects_to_nothing(program: Path) -> None:
    """A socket of ours is in our network; shut down, a listening one could be connected again."""
    program.write_text(CONNECTING)
    with (
        socket.create_server(("127.0.0.1", 0)) as reached,
        socket.create_server(("127.0.0.1", 0)) as handed,
    ):
        port = str(reached.getsockname()[1])
        made = Program(interpreter=Path(sys.executable), file=program, arguments=(port,))
        found = Apart(made, handed)
        assert found.line(seconds=300, bytes_max=100) == f"not {errno.EPERM}".encode()
        found.end()
        reached.setblocking(False)
        with pytest.raises(BlockingIOError):
            reached.accept()


def test_an_answer_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Lying(Checker):
        def line(self, *, seconds: float, bytes_max: int) -> bytes:
            super().line(seconds=seconds, bytes_max=bytes_max)
            return answers.pop()

    monkeypatch.setattr(sys.modules[__name__], "Checker", Lying)
    for answer in (b"no JSON", b"[]", b'{"outputs": 1}', b'{"outputs": [{}]}'):
        answers = [answer]
        found = own("pass")
        assert not found["loads"].holds
        assert "no answer" in found["loads"].said


def test_an_onnx_model_that_takes_all_memory_is_refused() -> None:
    """Its graph asks for 256 GiB as soon as it is asked; it is 200 bytes long."""
    size = numpy_helper.from_array(np.array([1 << 36], dtype=np.int64), "size")
    nodes = [
        helper.make_node("ConstantOfShape", ["size"], ["large"]),
        helper.make_node("ReduceSum", ["large"], ["sum"], keepdims=0),
        helper.make_node("Add", ["features", "sum"], ["output"]),
    ]
    shape = [None, 1]
    given, answer = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name in ("features", "output")
    )
    graph = helper.make_graph(nodes, "g", [given], [answer], [size])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    toml = 'name = "m"\nformat = "onnx"\nfile = "model.onnx"\nfeatures = ["a"]\n'
    data: bytes = onnx.ModelProto.SerializeToString(model)
    found = judged(toml, {}, {"model.onnx": data})
    assert not found["loads"].holds


@pytest.fixture
def program(tmp_path: Path) -> Path:
    return tmp_path / "program.py"


def apart(file: Path, text: str, **bounds: int) -> Apart:
    file.write_text(text)
    return Apart(Program(interpreter=Path(sys.executable), file=file, bounds=Bounds(**bounds)))


@pytest.mark.parametrize(
    ("text", "bounds", "said"),
    [
        ("while True: pass", {"cpu_seconds": 1}, "processor time"),
        ("open('big', 'wb').write(bytes(1 << 21))", {"file_bytes": 1 << 20}, "File too large"),
        ("import os\nos.abort()", {}, "gave up by itself"),
        ("raise SystemExit('last words')", {}, "last words"),
        ("import os\nos.close(1)\nimport time\ntime.sleep(600)", {}, "ends before it answers"),
    ],
)
def test_what_ends_a_program_is_told(
    program: Path, text: str, bounds: dict[str, int], said: str
) -> None:
    found = apart(program, text, **bounds)
    with pytest.raises(DamagedError, match=said):
        found.line(seconds=300, bytes_max=100)
    found.end()


def test_a_program_that_says_nothing_is_not_waited_for(program: Path) -> None:
    found = apart(program, "import time\ntime.sleep(600)")
    with pytest.raises(DamagedError, match=r"longer than 0\.2 s"):
        found.line(seconds=0.2, bytes_max=100)
    found.end()
    endless = apart(program, "while True: print('x' * 1000, end='')")
    with pytest.raises(DamagedError, match="ends before it answers"):
        endless.line(seconds=300, bytes_max=10_000)
    endless.end()


def test_what_is_begun_for_onnx_has_its_library() -> None:
    assert gates.surroundings(Format.ONNX, None).modules == ("numpy", "onnxruntime")
    assert os.environ.get("BERTH_LISTEN") is None
