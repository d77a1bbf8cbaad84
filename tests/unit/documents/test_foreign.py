"""Pipelines of Kubeflow and Argo, compiled by their own clients, read as they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.documents import pipeline_from, read_pipeline
from engine.documents.foreign import Imported, import_pipeline, is_foreign
from engine.model.errors import InvalidInputError
from engine.model.specs import Join, PipelineSpec

FOLDER = Path(__file__).parents[2] / "fixtures" / "foreign"


def imported(text: str) -> tuple[Imported, PipelineSpec]:
    """Return a pipeline with the spec that its text is read as."""
    found = import_pipeline(text, name="f.yaml")
    spec = read_pipeline(found.text, name="f.yaml", as_of=0.0)
    assert spec == pipeline_from(found.mapping, name="f.yaml")
    return found, spec


def stored(name: str) -> tuple[Imported, PipelineSpec]:
    return imported((FOLDER / name).read_text())


def argo(tasks: str, more: str = "") -> str:
    return f"""apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {{name: w}}
spec:
  entrypoint: main
  templates:
  - {{name: c, container: {{image: i, command: [run, "{{{{inputs.parameters.x}}}}"]}},
      inputs: {{parameters: [{{name: x, default: d}}]}}}}
  - {{name: s, script: {{image: i, command: [python], source: "print(1)"}}}}
  - name: main
    dag:
      tasks:
{tasks}{more}"""


def said(found: Imported) -> str:
    return "\n".join(f"{note.line} {note.path} {note.message}" for note in found.notes)


def test_a_condition_of_kfp_guards_the_output_that_it_reads() -> None:
    _, spec = stored("kfp_if.yaml")
    assert spec.task("report").when == "has(train.quality) && (train.quality >= 0.87)"
    assert spec.task("report-2").when == "has(train.quality) && (!(train.quality >= 0.87))"
    assert spec.task("report").after == ("train",)
    assert spec.task("report").command == ("report", "good")


def test_resources_and_retries_of_kfp_are_wishes() -> None:
    _, spec = stored("kfp_if.yaml")
    train = spec.task("train")
    assert (train.wishes.cpu_cores, train.wishes.gpu_model, train.wishes.gpu_count) == (2, "T4", 1)
    assert train.wishes.memory_gib == pytest.approx(4e9 / 2**30, rel=1e-3)
    assert train.retries == 3


def test_a_loop_of_kfp_is_a_bounded_loop() -> None:
    _, spec = stored("kfp_for.yaml")
    assert [task.command[2] for task in spec.tasks] == ["knn", "tree", "forest"]
    assert {task.at_once for task in spec.tasks} == {2}


def test_what_does_not_map_is_listed_with_its_line() -> None:
    text = (FOLDER / "kfp_if.yaml").read_text()
    found, _ = imported(text)
    for note in found.notes:
        key = note.path.rpartition(".")[2].partition("[")[0]
        assert key in text.splitlines()[note.line - 1] or "{{$" in text.splitlines()[note.line - 1]
    assert "results are not cached" in said(found)
    assert "known only while it runs" in said(found)


def test_a_graph_of_argo_keeps_order_loops_and_conditions() -> None:
    found, spec = stored("argo_dag.yaml")
    assert not found.notes
    assert spec.task("train-2").command == ("train", "--family", "tree")
    assert spec.task("best").after == ("train-1", "train-2")
    assert spec.task("good").when == "has(best.result) && (best.result >= 0.87)"
    assert (spec.task("end").after, spec.task("end").join) == (("good", "bad"), Join.ANY)
    assert (spec.task("train-1").wishes.memory_gib, spec.task("train-1").retries) == (4, 3)


def test_steps_of_argo_follow_each_other() -> None:
    _, spec = stored("argo_steps.yaml")
    assert spec.task("heads").after == ("flip",)
    assert spec.task("tails").when == 'has(flip.result) && (flip.result == "tails")'


@pytest.mark.parametrize(
    ("depends", "join", "when"),
    [
        ("a && b.Succeeded", Join.ALL, None),
        ("a.Succeeded || b", Join.ANY, None),
        ("a.Failed", Join.DONE, '(a.state == "failed")'),
        ("(a.Skipped || a.Succeeded) && !b.Failed", Join.DONE,
         '((a.state == "skipped") || (a.state == "succeeded")) && !(b.state == "failed")'),
    ],
)  # fmt: skip
def test_depends_is_a_join_or_a_condition(depends: str, join: Join, when: str | None) -> None:
    tasks = f"""      - {{name: a, template: c}}
      - {{name: b, template: s}}
      - {{name: z, template: c, depends: "{depends}"}}
"""
    _, spec = imported(argo(tasks))
    assert (spec.task("z").join, spec.task("z").when) == (join, when)
    assert spec.task("b").command == ("python", "-c", "print(1)")


def test_a_handler_of_exit_runs_however_all_ended() -> None:
    text = argo("      - {name: a, template: c}\n", "  onExit: s\n")
    _, spec = imported(text)
    assert (spec.task("s").after, spec.task("s").join) == (("a",), Join.DONE)


def test_loops_over_mappings_and_numbers_are_written_out() -> None:
    tasks = """      - name: a
        template: c
        withItems: [{os: x, v: 1}, {os: y, v: 2}]
        arguments: {parameters: [{name: x, value: "{{item.os}}-{{item.v}}"}]}
      - name: b
        template: c
        withSequence: {start: 3, end: 5}
        arguments: {parameters: [{name: x, value: "{{item}}"}]}
"""
    _, spec = imported(argo(tasks))
    assert [task.command[1] for task in spec.tasks] == ["x-1", "y-2", "3", "4", "5"]


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ("{name: a, template: gone}", "stands in another document"),
        ("{name: a, template: main}", "calls itself"),
        ("{name: a}", "names no template"),
        ("{name: a, template: c, when: '{{tasks.b.outputs.result}} =~ x'}", "does not map"),
        ("{name: a, template: c, depends: gone}", "`gone` is no task before it"),
        ("{name: a, template: c, withParam: '{{workflow.parameters.x}}'}", "not known yet"),
        ("{name: a, template: c, hooks: {}}", "`hooks` does not map: add a task"),
        ("{name: a, template: c, colour: red}", "`colour` is not known here"),
        ("{name: a, template: c, arguments: {parameters: [{name: x, valueFrom: {}}]}}", "`x` is"),
    ],
)
def test_what_does_not_map_of_argo_is_said(task: str, message: str) -> None:
    found, _ = imported(argo(f"      - {{name: b, template: s}}\n      - {task}\n"))
    assert message in said(found)
    assert all(note.line for note in found.notes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pipeline: p", "is neither"),
        ("pipelineInfo: {name: x}\nroot: {}\n", "no task of it maps"),
        ("apiVersion: argoproj.io/v1\nspec: [", "is not YAML"),
        ("apiVersion: argoproj.io/v1\nspec: 3", "no task of it maps"),
        ("apiVersion: argoproj.io/v1\nspec: {entrypoint: x, entrypoint: y}", "written before"),
        ("apiVersion: argoproj.io/v1\na: " + "[" * 1000, "deeper than"),
    ],
)
def test_what_is_no_pipeline_is_refused(text: str, message: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        import_pipeline(text, name="f.yaml")
    assert message in caught.value.message


def test_only_documents_of_others_are_taken_for_such() -> None:
    assert is_foreign((FOLDER / "kfp_if.yaml").read_text())
    assert not is_foreign("pipeline: p\ntasks: {a: {kind: etl}}\n")
