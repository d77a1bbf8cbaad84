"""Attempts as real processes: limits, endings, inputs and outputs, crashes at any point."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from engine.model import documents
from engine.model.dispatches import AttemptState, Reason
from engine.model.errors import (
    NotFoundError,
    RefusedError,
    RetryableError,
    UnreachableError,
)
from engine.model.identifiers import AttemptId, Digest
from engine.model.resources import Resources
from engine.model.signals import Layer
from executors.local import LocalSignals, executor, files, logs, processes
from executors.local.shim import main as shim
from executors.tasks import records
from executors.training.tracking import experiments
from tests.support.local_cluster import LASTS, OUTPUTS, WRITES, LocalCluster, wait_for

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
ENDED = {
    "ending": "exited",
    "code": 0,
    "message": "",
    "started_at": 1.0,
    "ended_at": 2.0,
    "cpu_seconds": 1.0,
    "memory_bytes_peak": 1,
}
READY = "Path(os.environ['BERTH_OUTPUTS'], 'ready').touch(); "


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[LocalCluster]:
    found = LocalCluster(tmp_path)
    yield found
    processes.kill_having({"BERTH_HOME": str(tmp_path)})


def test_a_command_sees_the_contract(cluster: LocalCluster) -> None:
    program = WRITES + (
        "p = json.load(open(os.environ['BERTH_PARAMETERS'])); "
        "(out / 'outputs.json').write_text(json.dumps({'answer': p['answer'], "
        "'threads': os.environ['OMP_NUM_THREADS'], 'cores': len(os.sched_getaffinity(0))}))"
    )
    outputs = cluster.run(cluster.order(program)).outputs
    assert outputs == {"answer": 42, "threads": "1", "cores": 1}


def says_a_line(log: Path) -> bool:
    return log.exists() and "\n" in log.read_text()


def test_each_attempt_sees_gpus_that_nobody_has_while_there_are_some(
    cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    cluster = LocalCluster(cluster.home, gpu_count=3)
    says = "import os; print('sees', repr(os.environ['CUDA_VISIBLE_DEVICES']), flush=True); "
    seen = []
    for name, count in (("a", 2.0), ("b", 0.5), ("c", 1.0), ("d", 0.0)):
        if name == "c":
            cluster.executor.stop(cluster.seen("a").attempt_id)
            cluster.ended("a")
        limits = Resources(cpu_cores=1.0, memory_gib=1.0, gpu_count=count)
        cluster.executor.start(cluster.order(says + LASTS, name, limits=limits))
        log = cluster.folder(name) / "log.txt"
        wait_for(partial(says_a_line, log))
        seen.append(log.read_text().split()[1])
    assert seen == ["'0,1'", "'2'", "'0'", "''"]


def test_inputs_are_laid_out_by_digest(cluster: LocalCluster, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.txt").write_text("seven")
    digest = cluster.artifacts.put(tmp_path / "a")
    program = OUTPUTS + (
        "x = Path(os.environ['BERTH_INPUTS'], 'etl', 'x.txt').read_text(); "
        "(out / 'outputs.json').write_text(json.dumps({'x': x}))"
    )
    assert cluster.run(cluster.order(program, inputs={"etl": digest})).outputs == {"x": "seven"}


def test_outputs_become_an_artefact(cluster: LocalCluster, tmp_path: Path) -> None:
    seen = cluster.run(cluster.order(WRITES + "(out / 'model').write_text('weights')"))
    assert seen.artifact is not None
    cluster.artifacts.fetch(seen.artifact, tmp_path / "back")
    assert (tmp_path / "back" / "model").read_text() == "weights"


@pytest.mark.parametrize(
    ("code", "reason"),
    [(1, Reason.EXIT_CODE), (65, Reason.BAD_INPUT), (66, Reason.GATE)],
)
def test_exit_codes_have_reasons(cluster: LocalCluster, code: int, reason: Reason) -> None:
    program = f"import sys; print('more'); sys.stderr.write('first\\nlast\\n'); sys.exit({code})"
    seen = cluster.run(cluster.order(program))
    assert (seen.reason, seen.exit_code, seen.message) == (reason, code, "last")


def test_both_outputs_are_logged(cluster: LocalCluster) -> None:
    cluster.run(cluster.order(WRITES + "import sys; print('out'); sys.stderr.write('err\\n')"))
    assert set((cluster.folder() / files.LOG).read_text().split()) == {"out", "err"}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is not JSON"),
        ("[1]", "holds list"),
        ('{"a": [1]}', "'a' is [1]"),
        ('{"a": NaN}', "'a' is nan"),
        ('{"a": "\\ud800"}', "surrogates not allowed"),
        ("[" * 50_000, "nested too deeply"),
        (None, "is missing"),
    ],
)
def test_bad_outputs_are_named(cluster: LocalCluster, text: str | None, why: str) -> None:
    write = "pass" if text is None else f"(out / 'outputs.json').write_text({text!r})"
    seen = cluster.run(cluster.order(OUTPUTS + write))
    assert (seen.state, seen.reason) == (AttemptState.FAILED, Reason.BAD_OUTPUT)
    assert why in seen.message


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (files.EXIT, "{}"),
        (files.EXIT, json.dumps({**ENDED, "ending": "never"})),
        (files.EXIT, json.dumps({**ENDED, "started_at": math.nan})),
        (files.EXIT, json.dumps({**ENDED, "code": "0"})),
        (files.EXIT, json.dumps({**ENDED, "last_lines": [1]})),
        (files.STATE, '{"attempt_id": "r-1.other.1", "state": "succeeded", "handle": "h"}'),
    ],
)
def test_what_a_task_forges_harms_itself_alone(cluster: LocalCluster, name: str, text: str) -> None:
    target = f"Path(os.environ['BERTH_ATTEMPT']) / {name!r}"
    program = f"{OUTPUTS}({target}).write_text({text!r}); import time; time.sleep(300)"
    seen = cluster.run(cluster.order(program))
    assert (seen.attempt_id, seen.state) == ("r-1.task.1", AttemptState.FAILED)


def test_a_pipe_in_the_place_of_a_file_holds_nobody_up(cluster: LocalCluster) -> None:
    names = (files.ENDPOINT, files.SIGNALS)
    folder = "Path(os.environ['BERTH_ATTEMPT'])"
    pipes = "".join(f"os.mkfifo({folder} / {name!r}); " for name in names)
    seen = cluster.run(cluster.order(WRITES + pipes))
    assert seen.state is AttemptState.SUCCEEDED
    found, _ = LocalSignals(cluster.home, cluster.source).read("")
    assert all(signal.layer is Layer.MACHINE for signal in found)


def test_links_in_outputs_are_refused(cluster: LocalCluster) -> None:
    seen = cluster.run(cluster.order(WRITES + "(out / 'link').symlink_to('/etc/passwd')"))
    assert seen.reason is Reason.BAD_OUTPUT
    assert "link" in seen.message


@pytest.mark.parametrize(
    ("leaves", "why"),
    [
        ("import shutil; shutil.rmtree(out); out.touch()", "is no plain file"),
        (WRITES + "open(os.fsencode(out) + b'/\\xff', 'w')", "is no text"),
        (
            WRITES + "os.chdir(out)\nfor _ in range(1500): os.mkdir('d'); os.chdir('d')",
            "over 1024 bytes",
        ),
    ],
)
def test_what_cannot_be_kept_is_told_and_removed(
    cluster: LocalCluster, leaves: str, why: str
) -> None:
    seen = cluster.run(cluster.order(OUTPUTS + leaves))
    assert seen.reason is Reason.BAD_OUTPUT
    assert why in seen.message
    assert cluster.executor.clear(lambda _: False) == 1
    assert not list((cluster.home / "attempts").iterdir())


def test_a_task_may_clear_its_folder(cluster: LocalCluster) -> None:
    clears = (
        "[each.unlink() for each in out.parent.iterdir() if each.is_file()]; raise SystemExit(3)"
    )
    seen = cluster.run(cluster.order(OUTPUTS + clears))
    assert (seen.reason, seen.exit_code) == (Reason.EXIT_CODE, 3)


def test_a_command_that_never_falls_silent_is_held_to_its_limits(cluster: LocalCluster) -> None:
    program = "import os\nwhile True: os.write(2, bytes(65536))"
    seen = cluster.run(cluster.order(program, time_limit_seconds=0.5))
    assert seen.reason is Reason.TIMED_OUT


def test_what_is_said_after_the_end_is_not_waited_for(cluster: LocalCluster) -> None:
    left = "import os\nwhile True: os.write(2, bytes(65536))"
    program = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {left!r}]); "
    assert cluster.run(cluster.order(WRITES + program)).state is AttemptState.SUCCEEDED


def test_memory_of_what_left_its_parent_counts(cluster: LocalCluster) -> None:
    program = (
        "import os, time\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0: held = os.urandom(300_000_000); time.sleep(600)\n"
        "    os._exit(0)\n"
        "time.sleep(600)"
    )
    limits = Resources(cpu_cores=1.0, memory_gib=0.2)
    seen = cluster.run(cluster.order(program, limits=limits))
    assert seen.reason is Reason.OUT_OF_MEMORY


def test_memory_is_held_to_its_limit(cluster: LocalCluster) -> None:
    program = "import time; held = bytearray(400 << 20); time.sleep(300)"
    seen = cluster.run(cluster.order(program, limits=Resources(cpu_cores=1, memory_gib=0.1)))
    assert seen.reason is Reason.OUT_OF_MEMORY
    assert seen.usage is not None
    assert seen.usage.memory_gib_peak > 0.1


def test_memory_of_children_counts(cluster: LocalCluster) -> None:
    child = "import time; held = bytearray(200 << 20); time.sleep(300)"
    program = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    seen = cluster.run(cluster.order(program, limits=Resources(cpu_cores=1, memory_gib=0.15)))
    assert seen.reason is Reason.OUT_OF_MEMORY


def test_time_is_held_to_its_limit(cluster: LocalCluster) -> None:
    seen = cluster.run(cluster.order(LASTS, time_limit_seconds=0.2))
    assert seen.reason is Reason.TIMED_OUT
    assert "0.2 s" in seen.message


def test_processor_time_is_measured(cluster: LocalCluster) -> None:
    program = WRITES + "import time\nwhile time.process_time() < 0.3: pass"
    usage = cluster.run(cluster.order(program)).usage
    assert usage is not None
    assert usage.cpu_seconds >= 0.3
    assert usage.duration_seconds >= 0.3


def test_what_ignores_the_request_to_stop_is_killed(cluster: LocalCluster) -> None:
    cluster.executor.start(cluster.order(OUTPUTS + STUBBORN + READY + "time.sleep(300)"))
    wait_for((cluster.folder() / "outputs" / "ready").exists)
    cluster.executor.stop(AttemptId("r-1.task.1"))
    seen = cluster.ended()
    assert (seen.state, seen.exit_code) == (AttemptState.STOPPED, -signal.SIGKILL)


def test_children_that_left_the_session_end_with_the_task(cluster: LocalCluster) -> None:
    program = WRITES + (
        "import subprocess, sys; child = subprocess.Popen([sys.executable, '-c', "
        f"{LASTS!r}], start_new_session=True); (out / 'pid').write_text(str(child.pid))"
    )
    cluster.run(cluster.order(program))
    pid = int((cluster.folder() / "outputs" / "pid").read_text())
    assert processes.identity(pid) is None


def test_children_without_their_environment_end_with_the_task(cluster: LocalCluster) -> None:
    program = WRITES + (
        "import subprocess; child = subprocess.Popen(['sleep', '600'], env={}, "
        "start_new_session=True); (out / 'pid').write_text(str(child.pid))"
    )
    cluster.run(cluster.order(program))
    pid = int((cluster.folder() / "outputs" / "pid").read_text())
    assert processes.identity(pid) is None


def test_orphans_that_ended_leave_no_zombies(cluster: LocalCluster) -> None:
    program = OUTPUTS + (
        "import subprocess; [subprocess.run(['sh', '-c', 'true &']) for _ in range(20)]; "
    )
    cluster.executor.start(cluster.order(program + READY + LASTS))
    wait_for((cluster.folder() / "outputs" / "ready").exists)
    claim = files.read_claim(cluster.folder())
    assert claim is not None
    shim = psutil.Process(claim["pid"])
    wait_for(lambda: len(shim.children()) == 1)


def test_an_unknown_command_says_so(cluster: LocalCluster) -> None:
    order = documents.decode(
        type(cluster.order("")),
        documents.encode(cluster.order(LASTS)).replace(LASTS, "x").replace("python", "pyhton"),
    )
    seen = cluster.run(order)
    assert (seen.reason, seen.exit_code) == (Reason.EXIT_CODE, 127)
    assert "No such file" in seen.message


def test_a_killed_shim_is_noticed_and_its_task_ended(cluster: LocalCluster) -> None:
    cluster.executor.start(cluster.order(OUTPUTS + READY + LASTS))
    wait_for((cluster.folder() / "outputs" / "ready").exists)
    claim = files.read_claim(cluster.folder())
    assert claim is not None
    children = psutil.Process(claim["pid"]).children()
    os.kill(claim["pid"], signal.SIGKILL)
    assert cluster.ended().reason is Reason.KILLED
    assert all(processes.identity(child.pid) is None for child in children)


def test_a_killed_command_is_told_apart_from_a_failed_one(cluster: LocalCluster) -> None:
    seen = cluster.run(cluster.order("import os, signal; os.kill(os.getpid(), signal.SIGKILL)"))
    assert (seen.reason, seen.message) == (Reason.KILLED, "ended by SIGKILL")


def test_being_killed_is_a_signal(cluster: LocalCluster) -> None:
    cluster.run(cluster.order("import os, signal; os.kill(os.getpid(), signal.SIGKILL)"))
    text = (cluster.folder() / files.SIGNALS).read_text()
    assert json.loads(text)["name"] == "exit_killed"


def test_a_failing_cluster_loses_its_attempts(cluster: LocalCluster) -> None:
    cluster.executor.start(cluster.order(OUTPUTS + READY + LASTS))
    wait_for((cluster.folder() / "outputs" / "ready").exists)
    cluster.switch.fail("here")
    seen = cluster.ended()
    assert (seen.state, seen.reason) == (AttemptState.LOST, Reason.CLUSTER_DOWN)
    assert not list(processes.having({"BERTH_HOME": str(cluster.home)}))


def test_a_restored_cluster_takes_attempts_again(cluster: LocalCluster) -> None:
    cluster.switch.fail("here")
    with pytest.raises(UnreachableError):
        cluster.executor.start(cluster.order(WRITES))
    cluster.switch.restore("here")
    assert cluster.run(cluster.order(WRITES)).state is AttemptState.SUCCEEDED


def test_a_shim_that_starts_on_a_failed_cluster_runs_nothing(
    cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path.cwd())  # a shim changes its folder; afterwards it is this one again
    cluster.executor.start(cluster.order(WRITES))
    cluster.ended()
    folder = cluster.folder()
    for name in (files.CLAIM, files.EXIT, files.STATE):
        (folder / name).unlink()
    cluster.switch.fail("here")
    assert shim([str(folder)]) == 0
    assert cluster.starts() == 1


def test_two_shims_run_an_attempt_once(cluster: LocalCluster) -> None:
    order = cluster.order(WRITES)
    cluster.executor.start(order)
    cluster.executor._shims.spawn(order, cluster.folder())
    cluster.ended()
    assert cluster.starts() == 1


def test_a_crash_before_the_shim_is_mended_by_looking(cluster: LocalCluster) -> None:
    """The folder has its name, but the engine died before it started a shim."""
    cluster.executor._shims.spawn = lambda *_: None  # type: ignore[method-assign]  # the crash
    cluster.executor.start(cluster.order(WRITES))
    cluster.executor = cluster.reopened()
    assert cluster.ended().state is AttemptState.SUCCEEDED
    assert cluster.starts() == 1


def test_a_shim_that_never_claims_is_given_up(
    cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.executor.start(cluster.order(WRITES))
    cluster.ended()
    for name in (files.CLAIM, files.EXIT, files.STATE, files.LAUNCH):
        (cluster.folder() / name).unlink()
    cluster.executor = cluster.reopened()
    seen = cluster.ended()
    assert seen.reason is Reason.KILLED
    assert "could not be started" in seen.message


def test_a_stop_before_the_claim_keeps_it_from_running(cluster: LocalCluster) -> None:
    cluster.executor._shims.spawn = lambda *_: None  # type: ignore[method-assign]  # none yet
    cluster.executor.start(cluster.order(WRITES))
    cluster.executor.stop(AttemptId("r-1.task.1"))
    assert shim([str(cluster.folder())]) == 0
    assert cluster.seen().state is AttemptState.STOPPED
    assert cluster.starts() == 0


def test_half_prepared_folders_are_cleared(cluster: LocalCluster) -> None:
    (cluster.home / "attempts" / ".r-1.task.1.abc" / "inputs").mkdir(parents=True)
    cluster.reopened()
    assert not list((cluster.home / "attempts").iterdir())


def test_a_missing_input_starts_nothing(cluster: LocalCluster) -> None:
    order = cluster.order(WRITES, inputs={"etl": Digest("sha256:" + "0" * 64)})
    with pytest.raises(NotFoundError):
        cluster.executor.start(order)
    assert not list((cluster.home / "attempts").iterdir())


def test_a_folder_that_cannot_be_written_is_a_refusal(
    cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", str(cluster.home))

    monkeypatch.setattr(files, "write_durably", full)
    with pytest.raises(UnreachableError, match="No space left") as caught:
        cluster.executor.start(cluster.order(WRITES))
    assert "free space" in caught.value.fix
    assert not list((cluster.home / "attempts").iterdir())


def test_a_result_waits_for_space(cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster.executor.start(cluster.order(WRITES))
    wait_for((cluster.folder() / files.EXIT).exists)
    with monkeypatch.context() as patch:
        patch.setattr(files, "write_durably", _full)
        seen = cluster.seen()
        assert (seen.state, "No space" in seen.message) == (AttemptState.RUNNING, True)
    assert cluster.seen().state is AttemptState.SUCCEEDED


def _full(*_: object) -> None:
    raise OSError(28, "No space left on device")


def test_a_damaged_state_is_found_anew(cluster: LocalCluster) -> None:
    before = cluster.run(cluster.order(WRITES))
    (cluster.folder() / files.ORDER).write_text("{")
    cluster.executor = cluster.reopened()
    assert cluster.seen() == before
    (cluster.folder() / files.STATE).write_text("{")
    cluster.executor = cluster.reopened()
    assert "damaged" in cluster.seen().message


def test_nothing_goes_on_of_an_attempt_whose_order_is_lost(cluster: LocalCluster) -> None:
    cluster.executor.start(cluster.order(OUTPUTS + READY + LASTS))
    wait_for((cluster.folder() / "outputs" / "ready").exists)
    (cluster.folder() / files.ORDER).write_text("{")
    cluster.executor = cluster.reopened()
    assert cluster.seen().state is AttemptState.FAILED
    assert not list(processes.having({"BERTH_ATTEMPT": str(cluster.folder())}))


def test_no_attempt_fails_because_the_machine_cannot_read_now(
    cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.executor.start(cluster.order(WRITES))
    cluster.executor = cluster.reopened()
    with monkeypatch.context() as patch:
        patch.setattr(files, "open_plain", _full)
        with pytest.raises(RetryableError, match="No space"):
            cluster.seen()
    assert cluster.ended().state is AttemptState.SUCCEEDED


def test_a_log_without_end_is_cut(cluster: LocalCluster) -> None:
    program = (
        f"{WRITES}import sys; line = 'x' * 999\n"
        f"for n in range({logs.BYTES_MOST // 1_000 + 2}): print(n, line)\n"
        "print('the end'); print('and errors', file=sys.stderr)"
    )
    assert cluster.run(cluster.order(program)).state is AttemptState.SUCCEEDED
    log = cluster.folder() / files.LOG
    assert log.stat().st_size <= logs.BYTES_LEFT + 4_096
    lines = log.read_text().splitlines()
    assert lines[0].startswith("[what was written before this line was removed")
    assert {"the end", "and errors"} < set(lines)


def test_what_many_attempts_left_is_removed_little_by_little(
    cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor, "CLEARED_AT_ONCE", 2)
    for name in ("a", "b", "c"):
        cluster.run(cluster.order(WRITES, name))
    assert [cluster.executor.clear(lambda _: False) for _ in range(3)] == [2, 1, 0]


def test_what_cannot_be_removed_is_nobodys_and_removed_by_the_next_engine(
    cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stays(folder: Path) -> None:
        raise OSError(5, "Input/output error", str(folder))

    cluster.run(cluster.order("import os, signal; os.kill(os.getpid(), signal.SIGKILL)"))
    assert (cluster.folder() / files.SIGNALS).exists()
    with monkeypatch.context() as patch:
        patch.setattr(files, "remove", stays)
        with pytest.raises(RetryableError, match="Input/output"):
            cluster.executor.clear(lambda _: False)
    assert list(cluster.executor.observe()) == []
    found, _ = LocalSignals(cluster.home, cluster.source).read("")
    assert {signal.layer for signal in found} == {Layer.MACHINE}
    cluster.reopened()
    assert not list((cluster.home / "attempts").iterdir())


def test_folders_that_nobody_may_write_are_removed(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    (kept / "inner").mkdir(parents=True)
    kept.chmod(0o500)
    files.remove(kept)
    assert not kept.exists()
    files.remove(kept)


def test_what_cannot_be_removed_is_told(tmp_path: Path) -> None:
    mounted = Path("/proc/self/fdinfo")
    with pytest.raises(OSError, match="fdinfo"):
        files.remove(mounted)


def test_a_name_that_is_no_file_name_is_refused(cluster: LocalCluster) -> None:
    with pytest.raises(RefusedError):
        cluster.executor.stop(AttemptId("../x"))


def test_a_task_ends_when_its_data_folder_is_removed(cluster: LocalCluster) -> None:
    cluster.executor.start(cluster.order(OUTPUTS + READY + LASTS))
    wait_for((cluster.folder() / "outputs" / "ready").exists)
    shutil.rmtree(cluster.home)
    wait_for(lambda: not list(processes.having({"BERTH_HOME": str(cluster.home)})))


def test_an_endpoint_is_seen(cluster: LocalCluster) -> None:
    program = (
        "import os; open(os.environ['BERTH_ENDPOINT'], 'w').write('{\"url\": \"http://x\"}'); "
    )
    cluster.executor.start(cluster.order(program + LASTS))
    assert cluster.until(lambda seen: seen.endpoint != "").endpoint == "http://x"


def test_a_failed_command_leaves_its_last_lines_and_one_that_succeeds_none(
    cluster: LocalCluster,
) -> None:
    program = "import sys; [sys.stderr.write(f'line {n}\\n') for n in range(30)]; "
    failed = cluster.run(cluster.order(program + "sys.exit(3)", "fails"))
    assert failed.last_lines == tuple(f"line {number}" for number in range(10, 30))
    assert cluster.run(cluster.order(program + WRITES, "succeeds")).last_lines == ()


def test_a_command_of_ones_own_has_a_record_of_its_metrics(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.txt").write_text("seven")
    (tmp_path / "records.csv").write_text("1,2")
    digest = cluster.artifacts.put(tmp_path / "a")
    program = WRITES + (
        "(out / 'model').write_text('weights'); "
        "(out / 'experiment.json').write_text(json.dumps({'parameters': {'rate': 0.1}})) "
    )
    order = cluster.order(program, inputs={"etl": digest})
    spec = {
        "name": "fit",
        "kind": "train",
        "command": ["python", "fit.py"],
        "reads": "records.csv",
        "parameters": {"rate": 9.0, "depth": 3},
    }
    parameters = {"task": spec, "seed": 7, "overrides": {"depth": 4}}
    order = dataclasses.replace(order, parameters=parameters, folder=str(tmp_path))
    seen = cluster.run(order)
    found = experiments.read(cluster.folder() / "outputs")
    assert found.task == "fit"
    assert found.metrics == {"rows": 3}
    assert found.data == {"etl": digest, "records.csv": records.digest(tmp_path / "records.csv")}
    assert found.parameters == {"rate": 0.1, "depth": 4, "seed": 7}
    assert found.code["command"] == "python fit.py"
    assert set(found.artifacts) == {"model"}
    assert found.environment["threads"] == "1"
    assert seen.artifact is not None
    assert cluster.artifacts.read(seen.artifact, "experiment.json")


@pytest.mark.parametrize(
    ("spec", "more"),
    [
        ({"kind": "etl", "command": ["x"]}, ""),
        ({"kind": "train", "command": []}, ""),
        ({"kind": "train", "command": ["x"]}, "(out / 'outputs.json').write_text('{}')"),
        ({"kind": "train", "command": ["x"]}, "(out / 'experiment.json').write_text('[1]')"),
    ],
)
def test_only_metrics_of_ones_own_commands_are_recorded(
    cluster: LocalCluster, spec: dict[str, object], more: str
) -> None:
    order = dataclasses.replace(
        cluster.order(WRITES + more), parameters={"task": {"name": "fit", **spec}}
    )
    assert cluster.run(order).state is AttemptState.SUCCEEDED
    assert experiments.find(cluster.folder() / "outputs") is None


def test_a_name_cut_within_a_character_hides_no_process(tmp_path: Path) -> None:
    names = r"import ctypes, time; ctypes.CDLL(None).prctl(15, b'n\xc3'); print(flush=True); "
    mark = {"BERTH_MARK": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", names + "time.sleep(600)"],
        env={**os.environ, **mark},
        stdout=subprocess.PIPE,
    ) as named:
        assert named.stdout is not None
        named.stdout.readline()
        assert [pid for pid, _ in processes.having(mark)] == [named.pid]
        processes.kill_having(mark)
        assert named.wait() == -signal.SIGKILL
