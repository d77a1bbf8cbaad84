"""Each fault is named with its place, its code and a way out; all faults come at once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from engine import documents
from engine.model.errors import Fault, InvalidInputError

Faults = Callable[[str], tuple[Fault, ...]]
TaskFault = Callable[..., Fault]

MANY = """\
pipeline: Heart_X
sla: {deadline: 2020-01-01T00:00:00Z, keep: 95}
limits: {provders: aws}
tasks:
  a: {kind: etl, memory: 5 s, volume: -4 GiB, after: c}
  b: {kind: trian, after: a}
  c: {kind: train, after: [a, bb], model: knnn}
  d: {kind: train, after: b, when: b.x == }
owner: one
owner: two
"""


def pipeline(tasks: str) -> str:
    return f"pipeline: p\ntasks:\n{tasks}"


def test_all_faults_come_at_once_in_the_order_of_the_text(faults: Faults) -> None:
    codes = [fault.code for fault in faults(MANY)]
    first = ["S009", "S017", "S006", "S002", "S006", "S007", "S011"]
    assert codes == [*first, "S005", "S010", "S005", "S013", "S008"]


def test_a_fault_has_line_column_and_length(faults: Faults) -> None:
    fault = next(fault for fault in faults(MANY) if fault.code == "S002")
    assert (fault.line, fault.column, fault.length) == (3, 10, len("provders"))
    assert fault.source_line == "limits: {provders: aws}"


def test_every_fault_has_a_code_that_is_documented(faults: Faults) -> None:
    assert {fault.code for fault in faults(MANY)} <= set(documents.CODES)


def test_the_caret_stands_under_what_is_wrong(faults: Faults) -> None:
    for fault in faults(MANY):
        marked = fault.source_line[fault.column - 1 :][: fault.length]
        assert marked.strip() == marked != ""


def test_an_unknown_key_comes_with_those_alike(task_fault: TaskFault) -> None:
    fault = task_fault("memroy: 4 GiB")
    assert (fault.code, fault.candidates, fault.fix) == ("S002", ("memory",), "write `memory`")


@pytest.mark.parametrize("field", ["hostPath", "privileged", "nodeName", "serviceAccountName"])
def test_fields_of_pods_are_no_keys_of_tasks(task_fault: TaskFault, field: str) -> None:
    assert f"unknown key `{field}`" in task_fault(f"{field}: x").message


def test_an_unknown_key_like_no_other_comes_with_all(task_fault: TaskFault) -> None:
    fault = task_fault("zzz: 4 GiB")
    assert "known keys: kind, after" in fault.fix


@pytest.mark.parametrize(
    ("keys", "written"),
    [("memory: 16", "16 GiB"), ("p99: 120", "120 ms"), ("requests: 50", "50/s peak")],
)
def test_a_number_without_unit_comes_with_one_that_is_usual(
    task_fault: TaskFault, keys: str, written: str
) -> None:
    assert task_fault(keys, "serve").fix == f"write `{written}`, for example"


@pytest.mark.parametrize(
    ("keys", "code", "part"),
    [
        ("memory: 5 s", "S006", "`s` is no unit of an amount of memory"),
        ("memory: 16 gib", "S006", "use `PiB`"),
        ("memory: 16", "S006", "has no unit"),
        ("memory: lots", "S006", "an amount of memory was expected, not 'lots'"),
        ("memory: true", "S006", "not 'true'"),
        ("memory: -4 GiB", "S007", "'-4 GiB' is negative"),
        ("memory: 0 GiB", "S007", "below 1 MiB"),
        ("memory: 900 TiB", "S007", "above 64 TiB"),
        ("memory: 1e999 GiB", "S007", "not a finite number"),
        ("memory: null", "S006", "not 'nothing'"),
        ("cpu: 0.001", "S007", "below 0.01"),
        ("cpu: -2", "S007", "negative"),
        ("rows: 1.5", "S004", "a whole number was expected"),
        ("rows: true", "S004", "a whole number was expected"),
        ("rows: 0", "S007", "below 1"),
        ("retries: 101", "S007", "above 100"),
        ("reads: [a]", "S004", "not a list"),
        ("reads: {a: 1}", "S004", "not a mapping"),
        ("reads: ''", "S004", "not nothing"),
        ("schema: x", "S004", "columns with units was expected, not 'x'"),
        ("parameters: {a: [1]}", "S004", "a single value was expected, not a list"),
        ("parameters: {a: .inf}", "S007", "not a finite number"),
        ("parameters: {a: .nan}", "S007", "not a finite number"),
        ("after: null", "S004", "a list was expected, not nothing"),
        ("gpu: many", "S004", "a whole number was expected, not 'many'"),
        ("gpu: {many: 1}", "S002", "unknown key `many`"),
        ("gpu: {count: 3.5}", "S004", "a whole number"),
        ("join: some", "S005", "'some' is no way to join; use `all`, `any` or `done`"),
    ],
)
def test_values_that_cannot_be_meant_are_refused(
    task_fault: TaskFault, keys: str, code: str, part: str
) -> None:
    fault = task_fault(keys)
    assert fault.code == code
    assert part in fault.message


@pytest.mark.parametrize(
    ("keys", "code", "part"),
    [
        ("p99: 50 KiB", "S006", "`KiB` is no unit of a latency"),
        ("p99: 1 d", "S007", "above 10 min"),
        ("availability: 99.9", "S006", "above 1 and has no unit"),
        ("availability: 100 %", "S007", "below 100 %"),
        ("availability: 0 %", "S007", "above 0"),
        ("availability: 999", "S007", "below 100 %"),
        ("availability: 9 GiB", "S006", "is no unit of an availability"),
        ("requests: -1/s", "S007", "negative"),
        ("load by hour: [1, 2]", "S007", "above 1"),
        ("load by hour: [1, 0.5]", "S004", "24 shares were expected, one for each hour, not 2"),
        ("load by hour: [true]", "S004", "a number was expected"),
        ("trials: 3", "S018", "`trials` belongs to train tasks; this is of kind serve"),
    ],
)
def test_promises_of_serving_are_checked(
    task_fault: TaskFault, keys: str, code: str, part: str
) -> None:
    fault = task_fault(keys, kind="serve")
    assert fault.code == code
    assert part in fault.message


def test_what_is_no_number_is_not_told_to_take_a_unit(task_fault: TaskFault) -> None:
    assert "nan" not in task_fault("memory: .nan", kind="etl").fix


@pytest.mark.parametrize(
    ("line", "code", "part"),
    [
        ("sla: {deadline: soon}", "S006", "'soon' is no deadline"),
        ("sla: {deadline: daily 25:00}", "S007", "25:00 is no time of day"),
        ("sla: {deadline: daily 06:00 Europe/Pariss}", "S005", "is no time zone"),
        ("sla: {deadline: daily 06:00 Nowhere}", "S005", "is no time zone"),
        ("sla: {deadline: in 30 GiB}", "S006", "`GiB` is no unit of a duration"),
        ("sla: {deadline: 2030-13-01T00:00Z}", "S006", "is no instant"),
        ("sla: {deadline: 2030-01-01T00:00}", "S006", "has no time zone"),
        ("sla: {deadline: 2030-01-01T00:00Z Europe/Paris}", "S019", "an offset and a zone"),
        ("sla: {deadline: 2020-01-01T00:00Z}", "S017", "passed 2,571 d 8 h ago"),
        ("sla: {weight: 0}", "S007", "below 0.001"),
        ("sla: 3", "S004", "an SLA was expected, not '3'"),
        ("limits: {budget: 60 EUR per run}", "S006", "`EUR` is no currency"),
        ("limits: {budget: 60}", "S006", "has no currency"),
        ("limits: {budget: 60 USD}", "S006", "says not over what"),
        ("limits: {budget: 60 USD per year}", "S006", "`per year` is unknown"),
        ("limits: {budget: 6e12 USD per run}", "S007", "above 1000000000 USD"),
        ("limits: {regions: [eu, eu]}", "S008", "'eu' is listed twice"),
        ("limits: {providers: [amazon]}", "S005", "'amazon' is no provider"),
        ("retrain: {}", "S003", "key `when` is missing in a retrain policy"),
        ("retrain: {when: bad weather}", "S005", "starts no retraining"),
        ("retrain: {when: quality below 7}", "S006", "above 1"),
        ("retrain: {when: [every 1 d, every 2 d]}", "S019", "two bounds are given for schedule"),
        ("retrain: {when: drift, at most: {times: 2}}", "S006", "says not per what"),
        ("retrain: {when: drift, at most: {times: 2 per week}}", "S006", "is not `per day`"),
        ("retrain: {when: drift, at most: {times: 1.5 per day}}", "S007", "no whole number"),
        ("retrain: {when: drift, at most: {budget: 5 USD per run}}", "S006", "not per day"),
        ("owner: {a: 1}", "S004", "an owner was expected"),
        ("seed: -1", "S007", "negative"),
    ],
)
def test_the_head_of_a_pipeline_is_checked(faults: Faults, line: str, code: str, part: str) -> None:
    (fault,) = faults(f"pipeline: p\n{line}\ntasks: {{t: {{kind: etl}}}}\n")
    assert fault.code == code
    assert part in fault.message


def test_texts_have_a_length(task_fault: TaskFault) -> None:
    assert task_fault(f"image: {'x' * 1001}").message == "is longer than 1000 characters"


def test_lists_have_a_length(faults: Faults) -> None:
    names = ", ".join(f"r{i}" for i in range(1001))
    (fault,) = faults(f"pipeline: p\nlimits: {{regions: [{names}]}}\ntasks: {{t: {{kind: etl}}}}")
    assert fault.message == "has more than 1000 items"


def test_pipelines_have_a_size(faults: Faults) -> None:
    tasks = "\n".join(f"  t{i}: {{kind: etl}}" for i in range(2001))
    assert faults(pipeline(tasks))[0].message == "has more than 2000 entries"


def test_a_missing_kind_is_named(faults: Faults) -> None:
    (fault,) = faults(pipeline("  t: {after: []}"))
    assert (fault.code, fault.message) == ("S003", "key `kind` is missing in a task")


def test_a_pipeline_without_tasks_is_refused(faults: Faults) -> None:
    (fault,) = faults("pipeline: p\ntasks: {}")
    assert (fault.code, "not an empty one" in fault.message) == ("S004", True)


def test_tasks_must_be_a_mapping(faults: Faults) -> None:
    (fault,) = faults("pipeline: p\ntasks: [a]")
    assert "not 'a list'" in fault.message


def test_a_pipeline_must_be_a_mapping(faults: Faults) -> None:
    (fault,) = faults("- a")
    assert fault.message == "a pipeline was expected, not 'a list'"


@pytest.mark.parametrize(
    ("name", "fix"),
    [("Etl_One", "write `etl-one`"), ("9", ""), ("a" * 41, f"write `{'a' * 40}`")],
)
def test_a_name_that_cannot_be_used_comes_with_one_that_can(
    faults: Faults, name: str, fix: str
) -> None:
    (fault,) = faults(pipeline(f"  '{name}': {{kind: etl}}"))
    assert (fault.code, fault.fix) == ("S009", fix)


def test_model_families_are_known(faults: Faults) -> None:
    found = faults(pipeline("  t: {kind: train, model: [knn, forrest, sv]}"))
    assert [fault.candidates for fault in found] == [("forest",), ("svm",)]


def test_a_model_of_operations_stands_alone_and_reads_its_data(faults: Faults) -> None:
    found = faults(pipeline("  t: {kind: train, reads: a.csv, model: [arima, knn]}"))
    assert [fault.code for fault in found] == ["S004"]
    assert "cannot race" in found[0].message
    found = faults(pipeline("  t: {kind: train, model: graph}"))
    assert [fault.fix for fault in found] == ["add `reads: FILE`"]


def test_an_unknown_upstream_task_comes_with_one_alike(faults: Faults) -> None:
    (fault,) = faults(pipeline("  etl: {kind: etl}\n  t: {kind: train, after: et}"))
    assert (fault.code, fault.candidates, fault.column) == ("S010", ("etl",), 27)


def test_an_unknown_upstream_task_like_no_other_can_be_added(faults: Faults) -> None:
    (fault,) = faults(pipeline("  t: {kind: train, after: [zzzz]}"))
    assert fault.fix == "add a task `zzzz`"


def test_a_cycle_is_named(faults: Faults) -> None:
    tasks = "\n".join(f"  {a}: {{kind: etl, after: {b}}}" for a, b in ("ac", "ba", "cb"))
    (fault,) = faults(pipeline(tasks))
    assert fault.message == "tasks wait for one another: `a` -> `b` -> `c` -> `a`"
    assert fault.fix == "take `c` out of `after` of `a`"


def test_a_task_cannot_wait_for_itself(faults: Faults) -> None:
    (fault,) = faults(pipeline("  a: {kind: etl, after: a}"))
    assert fault.message == "tasks wait for one another: `a` -> `a`"


def test_a_pipeline_serves_once(faults: Faults) -> None:
    (fault,) = faults(pipeline("  a: {kind: serve}\n  b: {kind: serve}"))
    assert (fault.code, fault.path) == ("S019", "tasks.b.kind")


def test_a_deadline_ahead_is_fine(faults: Faults) -> None:
    head = "sla: {deadline: 2080-01-01T00:00:00Z}"
    assert faults(f"pipeline: p\n{head}\ntasks: {{t: {{kind: etl}}}}") == ()


def test_plain_data_has_no_past() -> None:
    mapping: dict[str, object] = {
        "pipeline": "p",
        "sla": {"deadline": "2020-01-01T00:00:00Z"},
        "tasks": {"t": {"kind": "etl"}},
    }
    assert documents.pipeline_from(mapping, name="x").sla.deadline is not None
    with pytest.raises(InvalidInputError, match="passed"):
        documents.pipeline_from(mapping, name="x", as_of=2e9)


def test_faults_of_plain_data_are_placed_by_path() -> None:
    mapping = {"pipeline": "p", "tasks": {"t": {"kind": "etl", "after": ["x"], "memory": "5 s"}}}
    with pytest.raises(InvalidInputError) as raised:
        documents.pipeline_from(mapping, name="the request")
    places = {(fault.code, fault.path, fault.line) for fault in raised.value.faults}
    assert places == {("S010", "tasks.t.after[0]", 0), ("S006", "tasks.t.memory", 0)}


def test_plain_data_holds_nothing_but_data() -> None:
    with pytest.raises(InvalidInputError, match="is a object"):
        documents.pipeline_from({"pipeline": object()}, name="x")


def test_whole_numbers_of_plain_data_have_an_end() -> None:
    task = {"kind": "train", "command": ["x"], "cpu": 10**400}
    with pytest.raises(InvalidInputError, match="not a finite number"):
        documents.pipeline_from({"pipeline": "p", "tasks": {"t": task}}, name="x")


def test_plain_data_is_not_nested_without_end() -> None:
    endless: dict[str, object] = {}
    endless["a"] = endless
    with pytest.raises(InvalidInputError, match="nested deeper"):
        documents.pipeline_from(endless, name="x")


def test_defaults_of_a_broken_document_are_not_listed() -> None:
    with pytest.raises(InvalidInputError):
        documents.filled_defaults("pipeline: p")
