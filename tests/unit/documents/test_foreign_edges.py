"""Odd documents of Kubeflow and Argo: what their readers make of them, and say of the rest."""

from __future__ import annotations

import pytest

from engine.documents import read_pipeline
from engine.documents.foreign import Imported, import_pipeline
from engine.model.errors import InvalidInputError
from engine.model.specs import Join, PipelineSpec

DONE = "triggerPolicy: {strategy: ALL_UPSTREAM_TASKS_COMPLETED}"
NUMBER = "inputs: {parameters: {n: {runtimeValue: {constant: 1}}}}"
READS = "inputs.parameter_values['n']"


def imported(text: str) -> tuple[Imported, PipelineSpec]:
    """Return a pipeline with the spec that its text is read as."""
    found = import_pipeline(text, name="f.yaml")
    return found, read_pipeline(found.text, name="f.yaml", as_of=0.0)


def said(found: Imported) -> str:
    return "\n".join(note.message for note in found.notes)


def argo(*tasks: str, templates: str = "", spec: str = "") -> str:
    """Return a workflow of tasks; `one` runs a container with the parameter `x`."""
    lines = "\n".join(f"      - {task}" for task in tasks)
    return f"""apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {{name: w}}
spec:
  entrypoint: main
{spec}
  templates:
  - {{name: one, container: {{image: i, command: [run, "{{{{inputs.parameters.x}}}}"]}},
      inputs: {{parameters: [{{name: x, default: d}}]}}}}
{templates}
  - name: main
    dag:
      tasks:
{lines}
"""


def script(command: str) -> str:
    return argo(
        "{name: a, template: s}",
        templates=f"  - {{name: s, script: {{image: i, command: {command}, source: go}}}}",
    )


def container(inner: str) -> str:
    return argo("{name: a, template: s}", templates=f"  - {{name: s, container: {{{inner}}}}}")


def kfp(*tasks: str, components: str = "", resources: str = "{}", inputs: str = "") -> str:
    """Return a pipeline of tasks; `one` is a component that runs a container."""
    lines = "\n".join(f"      {task}" for task in tasks)
    return f"""pipelineInfo: {{name: p}}
components:
  one: {{executorLabel: e}}
  none: {{executorLabel: gone}}
  empty: {{inputDefinitions: {{}}}}
  group: {{dag: {{tasks: {{inner: {{componentRef: {{name: one}}}}}}}}}}
  two:
    dag: {{tasks: {{x: {{componentRef: {{name: one}}}}, y: {{componentRef: {{name: one}}}}}}}}
{components}
deploymentSpec:
  executors:
    e:
      container:
        image: i
        command: [run, "{{{{$.inputs.parameters['n']}}}}"]
        resources: {resources}
root:
  inputDefinitions: {{parameters: {{{inputs}}}}}
  dag:
    tasks:
{lines}
"""


def output_of(task: str) -> str:
    """Return inputs of a task of KFP that take an output of another."""
    given = f"{{taskOutputParameter: {{producerTask: {task}, outputParameterKey: k}}}}"
    return f"inputs: {{parameters: {{n: {given}}}}}"


# ---------------------------------------------------------------------------- Kubeflow


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ("a: {componentRef: {name: gone}}", "the component of `a` is not in the document"),
        ("a: {componentRef: {name: empty}}", "the component of `a` is not in the document"),
        ("a: {dependentTasks: [z]}", "the component of `a` is not in the document"),
        ("a: {componentRef: {name: none}}", "`a` runs no container, which does not map"),
        ("a: {componentRef: {name: loop}}", "groups stand over 16 deep"),
        (f"a: {{componentRef: {{name: group}}, {DONE}}}", "a group that goes on after failures"),
        (
            "a: {componentRef: {name: one}, inputs: {artifacts: {d: {}}}}",
            "artefacts pass as folders",
        ),
        (
            "a: {componentRef: {name: one}, inputs: {parameters: {n: {taskFinalStatus: {}}}}}",
            "the input `n` is given in a way that does not map",
        ),
        (
            f"a: {{componentRef: {{name: one}}, {output_of('pair')}}}",
            "`pair` is a group, no task",
        ),
    ],
)
def test_what_does_not_map_of_kfp_is_said(task: str, message: str) -> None:
    text = kfp(
        "z: {componentRef: {name: one}}",
        "pair: {componentRef: {name: two}}",
        task,
        components="  loop: {dag: {tasks: {again: {componentRef: {name: loop}}}}}",
    )
    found, _ = imported(text)
    assert message in said(found)
    assert all(note.line for note in found.notes)


@pytest.mark.parametrize("given", ["{}", "{defaultValue: [1]}", "{defaultValue: {a: 1}}"])
def test_an_input_of_kfp_without_a_scalar_default_is_said(given: str) -> None:
    found, _ = imported(kfp("a: {componentRef: {name: one}}", inputs=f"top: {given}"))
    assert "the input `top` has no default; write its value in" in said(found)


@pytest.mark.parametrize(
    ("constant", "word"), [("true", "true"), ("[1, 2]", "[1, 2]"), ("{a: 1}", '{"a": 1}')]
)
def test_constants_of_kfp_stand_in_the_command(constant: str, word: str) -> None:
    task = f"a: {{componentRef: {{name: one}}, {NUMBER.replace('1', constant)}}}"
    assert imported(kfp(task))[1].task("a").command == ("run", word)


def test_what_goes_on_after_failures_of_kfp_joins_on_any_end() -> None:
    last = f"b: {{componentRef: {{name: one}}, dependentTasks: [a], {DONE}}}"
    _, spec = imported(kfp("a: {componentRef: {name: one}}", last))
    assert (spec.task("b").after, spec.task("b").join) == (("a",), Join.DONE)


def test_another_strategy_of_kfp_changes_nothing() -> None:
    task = "a: {componentRef: {name: one}, triggerPolicy: {strategy: ALL_UPSTREAM_TASKS_SUCCEEDED}}"
    assert imported(kfp(task))[1].task("a").join is Join.ALL


def test_a_condition_of_kfp_on_a_constant_is_one_of_constants() -> None:
    task = (
        f'a: {{componentRef: {{name: one}}, {NUMBER}, triggerPolicy: {{condition: "{READS} > 0"}}}}'
    )
    assert imported(kfp(task))[1].task("a").when == "1 > 0"


@pytest.mark.parametrize("reads", [READS, "inputs.other"])
def test_a_condition_of_kfp_on_what_is_not_known_is_false_and_said(reads: str) -> None:
    task = f'a: {{componentRef: {{name: one}}, triggerPolicy: {{condition: "{reads} > 0"}}}}'
    found, spec = imported(kfp(task))
    assert spec.task("a").when == "false"
    assert "the condition reads what is not known here" in said(found)


def test_a_condition_of_kfp_on_an_output_comes_after_its_task() -> None:
    policy = f'triggerPolicy: {{condition: "{READS} > 0"}}'
    second = f"b: {{componentRef: {{name: one}}, {output_of('a')}, {policy}}}"
    _, spec = imported(kfp("a: {componentRef: {name: one}}", second))
    assert spec.task("b").when == "has(a.k) && (a.k > 0)"
    assert spec.task("b").after == ("a",)


def loop_of_kfp(raw: str, component: str = "one") -> str:
    inner = f"items: {{raw: '{raw}'}}, itemInput: item"
    return f"a: {{componentRef: {{name: {component}}}, parameterIterator: {{{inner}}}}}"


@pytest.mark.parametrize(
    ("task", "why"),
    [
        (loop_of_kfp("["), "its values are not known yet"),
        (loop_of_kfp('{"a": 1}'), "its values are not known yet"),
        (
            "a: {componentRef: {name: one}, parameterIterator: {items: {inputParameter: x}}}",
            "its values are not known yet",
        ),
        (loop_of_kfp("[1, 2]", "nested"), "a loop in a loop"),
        (loop_of_kfp("[]"), "it has no values, or an empty one"),
        (loop_of_kfp("[{}]"), "it has no values, or an empty one"),
        (loop_of_kfp(str([*range(101)])), "it has 101 values, more than 100"),
    ],
)
def test_a_loop_of_kfp_that_does_not_map_is_said(task: str, why: str) -> None:
    inner = loop_of_kfp("[3, 4]")
    found, _ = imported(kfp(task, components=f"  nested: {{dag: {{tasks: {{{inner}}}}}}}"))
    assert f"this loop does not map: {why}; its tasks run once" in said(found)


def test_loops_of_kfp_over_structures_are_written_out() -> None:
    _, spec = imported(kfp(loop_of_kfp('[{"os": "x", "v": [1]}, {"os": "y", "v": [2]}]')))
    assert [dict(task.parameters) for task in spec.tasks] == [
        {"item-subvar-os": "x", "item-subvar-v": "[1]"},
        {"item-subvar-os": "y", "item-subvar-v": "[2]"},
    ]


def test_a_loop_of_kfp_over_lists_hands_on_their_text() -> None:
    _, spec = imported(kfp(loop_of_kfp("[[1, 2]]")))
    assert spec.task("a-1").parameters == {"item": "[1, 2]"}


def test_tasks_of_kfp_that_wait_for_each_other_are_written_all_the_same() -> None:
    first = "a: {componentRef: {name: one}, dependentTasks: [b]}"
    second = "b: {componentRef: {name: one}, dependentTasks: [a]}"
    _, spec = imported(kfp(first, second))
    assert {task.name for task in spec.tasks} == {"a", "b"}


@pytest.mark.parametrize("count", ["many", "-1"])
def test_retries_of_kfp_that_are_no_number_are_left_out(count: str) -> None:
    task = f"a: {{componentRef: {{name: one}}, retryPolicy: {{maxRetryCount: {count}}}}}"
    plain = imported(kfp("a: {componentRef: {name: one}}"))[1].task("a").retries
    assert imported(kfp(task))[1].task("a").retries == plain


@pytest.mark.parametrize(
    ("resources", "wishes"),
    [
        ("{cpuLimit: 2, memoryLimit: 1.073741824}", (2, 1, None, None)),
        ("{resourceCpuLimit: 500m, resourceMemoryLimit: 2Gi}", (0.5, 2, None, None)),
        ("{resourceCpuLimit: '{{x}}', resourceMemoryLimit: 1Qi}", (None, None, None, None)),
        ("{resourceCpuLimit: 3x, cpuLimit: 3}", (3, None, None, None)),
        ("{cpuRequest: 1, resourceMemoryRequest: 3Gi}", (1, 3, None, None)),
        ("{accelerator: {resourceType: nvidia.com/gpu, resourceCount: 2}}", (None, None, None, 2)),
        ("{accelerator: {type: NVIDIA_L4, count: x}}", (None, None, "L4", 1)),
        ("{accelerator: {count: 4}}", (None, None, None, 4)),
    ],
)
def test_quantities_of_kubernetes_are_wishes_where_they_are_read(
    resources: str, wishes: tuple[float | str | None, ...]
) -> None:
    _, spec = imported(kfp("a: {componentRef: {name: one}}", resources=resources))
    found = spec.task("a").wishes
    assert (found.cpu_cores, found.memory_gib, found.gpu_model, found.gpu_count) == wishes


@pytest.mark.parametrize(
    ("container_", "command"),
    [("{command: [run, '']}", ("run", " ")), ("{image: i}", ()), ("{lifecycle: {}}", ())],
)
def test_a_container_of_kfp_may_lack_an_image_or_words(
    container_: str, command: tuple[str, ...]
) -> None:
    text = f"""pipelineInfo: {{name: p}}
components: {{c: {{executorLabel: e}}}}
deploymentSpec: {{executors: {{e: {{container: {container_}}}}}}}
root: {{dag: {{tasks: {{a: {{componentRef: {{name: c}}}}}}}}}}
"""
    assert imported(text)[1].task("a").command == command


# -------------------------------------------------------------------------------- Argo


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            argo("{name: a, template: one}", spec="  arguments: {parameters: [{name: p}]}"),
            "`p` has no value; write it in",
        ),
        (
            argo(
                "{name: a, template: t}",
                templates="  - {name: t, container: {image: i}, inputs: {artifacts: [{name: d}]}}",
            ),
            "artefacts pass as folders",
        ),
        (
            argo(
                "{name: a, template: one}",
                "{name: b, template: t}",
                templates="  - {name: t, suspend: {}}",
            ),
            "the template runs no container, script, steps or graph",
        ),
        (
            argo(
                "{name: a, template: one, withItems: [1, 2],"
                " arguments: {parameters: [{name: x, value: '{{workflow.uid}}-{{item}}'}]}}"
            ),
            "`{{workflow.uid}}` is known only while it runs",
        ),
        (script("[awk]"), "the script's interpreter is not known to take a text"),
        (container("resources: {limits: {amd.com/gpu: 1}}"), "`amd.com/gpu` does not map"),
        (container("resources: {limits: {nvidia.com/gpu: x}}"), "`nvidia.com/gpu` does not map"),
        (container("resources: {limits: {cpu: many}}"), "the resource `cpu` does not map"),
        (container("resources: {requests: {memory: 3Q}}"), "the resource `memory` does not map"),
        (
            argo("{name: b, template: one}", "{name: a, template: one, depends: 'b ? b'}"),
            "`depends` does not map: ' ? b' is not read",
        ),
        (
            argo("{name: b, template: one}", "{name: a, template: one, depends: b.Sleeping}"),
            "`depends` does not map: the state `Sleeping` is not known",
        ),
        (
            argo("{name: a, template: one, when: '{{workflow.uid}} == 1'}"),
            "the task never runs: `workflow.uid` is not known before it runs",
        ),
        (
            argo("{name: a, template: one, when: '{{tasks.b.outputs.result}} == 1'}"),
            "the task never runs: `b` is no single task before it",
        ),
        (
            argo('{name: a, template: one, when: "\\0b.k == 1"}'),
            "the task never runs: it holds a NUL character",
        ),
        (
            argo(
                "{name: a, template: one, when: '{{workflow.parameters.x}} == 1'}",
                spec='  arguments: {parameters: [{name: x, value: "\\0b.k"}]}',
            ),
            "the task never runs: it holds a NUL character",
        ),
        (
            argo(
                "{name: a, template: t}",
                templates="  - {name: t, dag: {tasks: [{name: i, template: one, withItems: [3]}]}}",
            ).replace("template: t}", "template: t, withItems: [1, 2]}"),
            "this loop does not map: a loop in a loop; its task runs once",
        ),
    ],
)
def test_what_does_not_map_of_argo_is_said(text: str, message: str) -> None:
    found, _ = imported(text)
    assert message in said(found)
    assert all(note.line for note in found.notes)


def test_what_has_no_name_in_argo_is_passed_over() -> None:
    text = argo(
        "{name: a, template: one, arguments: {parameters: [{value: y}, {name: x, value: z}]}}",
        "{template: one}",
        "{name: s, template: steps}",
        templates="""  - {container: {image: nameless}}
  - {name: steps, steps: [[{template: one}], [{name: b, template: one}]],
     inputs: {parameters: [{value: v}, {name: unset}]}}""",
        spec="  arguments: {parameters: [{value: v}]}",
    )
    _, spec = imported(text)
    assert [task.name for task in spec.tasks] == ["a", "b"]
    assert spec.task("a").command == ("run", "z")


def test_a_template_of_argo_may_stand_in_its_task() -> None:
    inline = "{name: a, inline: {container: {image: i, args: [go]}}}"
    assert imported(argo(inline))[1].task("a").command == ("go",)


def test_a_container_of_argo_may_lack_an_image_and_words() -> None:
    assert imported(container("imagePullPolicy: Always"))[1].task("a").command == ()


def test_an_empty_word_of_argo_stays_a_word() -> None:
    assert imported(container("command: [run, '']"))[1].task("a").command == ("run", " ")


def test_a_bound_of_argo_on_tasks_at_once_bounds_each_loop() -> None:
    text = argo(
        "{name: a, template: one, withItems: [1, 2, 3]}",
        "{name: b, template: one, withItems: [1]}",
        spec="  parallelism: 2",
    )
    _, spec = imported(text)
    assert [task.at_once for task in spec.tasks] == [2, 2, 2, 1]


def test_a_graph_of_argo_that_waits_for_itself_is_written_all_the_same() -> None:
    found, spec = imported(
        argo(
            "{name: a, template: one, dependencies: [b]}",
            "{name: b, template: one, dependencies: [a]}",
        )
    )
    assert "`b` is no task before it" in said(found)
    assert spec.task("b").after == ("a",)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("[node]", ("node", "-e", "go")),
        ("[/usr/bin/ruby]", ("/usr/bin/ruby", "-e", "go")),
        ("[/bin/bash]", ("/bin/bash", "-c", "go")),
        ("[bash, -xc]", ("bash", "-xc", "go")),
        ("[]", ("go",)),
    ],
)
def test_a_script_of_argo_is_the_last_word_of_its_interpreter(
    command: str, words: tuple[str, ...]
) -> None:
    assert imported(script(command))[1].task("a").command == words


def test_resources_of_argo_are_wishes_and_limits_come_first() -> None:
    limits = "{cpu: 500m, ephemeral-storage: 20Gi, nvidia.com/gpu: 2}"
    _, spec = imported(
        container(f"resources: {{limits: {limits}, requests: {{cpu: 2, memory: 1Gi}}}}")
    )
    found = spec.task("a").wishes
    assert (found.cpu_cores, found.memory_gib, found.disk_gib) == (0.5, 1, 20)
    assert found.gpu_count == 2


@pytest.mark.parametrize(
    ("when", "cel"),
    [
        ("true", "true"),
        ("'{{workflow.parameters.p}} == \"v\"'", '"v" == "v"'),
        ("'{{tasks.b.outputs.result}} == true'", "has(b.result) && (b.result == true)"),
        ("\"'{{tasks.b.outputs.result}}' == 'x'\"", 'has(b.result) && (b.result == "x")'),
        ("\"v in ('v', 'w')\"", '"v" in ["v" , "w"]'),
    ],
)
def test_a_condition_of_argo_is_one_of_ours(when: str, cel: str) -> None:
    text = argo(
        "{name: b, template: one}",
        f"{{name: a, template: one, when: {when}}}",
        spec="  arguments: {parameters: [{name: p, value: v}]}",
    )
    assert imported(text)[1].task("a").when == cel


@pytest.mark.parametrize(
    ("state", "when"),
    [
        ("AnySucceeded", '(i.state == "succeeded" || j.state == "succeeded")'),
        ("AllFailed", '(i.state == "failed" && j.state == "failed")'),
        ("Omitted", '(i.state == "skipped" && j.state == "skipped")'),
    ],
)
def test_a_state_of_many_tasks_of_argo_is_a_condition(state: str, when: str) -> None:
    inner = "[{name: i, template: one}, {name: j, template: one}]"
    text = argo(
        "{name: l, template: t}",
        f"{{name: z, template: one, depends: l.{state}}}",
        templates=f"  - {{name: t, dag: {{tasks: {inner}}}}}",
    )
    found = imported(text)[1].task("z")
    assert (found.after, found.join, found.when) == (("i", "j"), Join.DONE, when)


@pytest.mark.parametrize(
    ("sequence", "words"),
    [
        ("{count: 2}", ["0", "1"]),
        ("{start: 4, count: 2}", ["4", "5"]),
        ("{start: 2, end: 0}", ["2", "1", "0"]),
    ],
)
def test_sequences_of_argo_count_from_where_they_start(sequence: str, words: list[str]) -> None:
    given = "arguments: {parameters: [{name: x, value: '{{item}}'}]}"
    task = f"{{name: a, template: one, withSequence: {sequence}, {given}}}"
    assert [task.command[1] for task in imported(argo(task))[1].tasks] == words


# --------------------------------------------------------------------------- documents


def test_the_document_of_a_platform_is_said_not_to_map() -> None:
    found, spec = imported(f"{kfp('a: {componentRef: {name: one}}')}---\nplatforms: {{k: {{}}}}\n")
    assert "the document of its platform does not map" in said(found)
    assert [task.name for task in spec.tasks] == ["a"]


@pytest.mark.parametrize(
    "around", ["---\n{}", "# a comment\n---\n{}---\n", "\n---\n{}---\n# end\n"]
)
def test_empty_documents_around_a_pipeline_say_nothing(around: str) -> None:
    found, _ = imported(around.format(kfp("a: {componentRef: {name: one}}")))
    assert "platform" not in said(found)


def test_lines_count_from_the_start_of_the_text() -> None:
    alone, _ = imported(argo("{name: a, template: one, hooks: {}}"))
    second, _ = imported("---\n" + argo("{name: a, template: one, hooks: {}}"))
    assert second.notes[0].line == alone.notes[0].line + 1


@pytest.mark.parametrize("items", ["withItems: 3", "withParam: '3'", "withParam: '{\"k\": 1}'"])
def test_a_loop_of_argo_over_what_is_no_list_is_said(items: str) -> None:
    found, _ = imported(argo(f"{{name: a, template: one, {items}}}"))
    assert "this loop does not map" in said(found)


@pytest.mark.parametrize("sequence", ["{count: 0}", "{}"])
def test_a_sequence_of_argo_without_numbers_is_said(sequence: str) -> None:
    found, _ = imported(argo(f"{{name: a, template: one, withSequence: {sequence}}}"))
    assert "this loop does not map" in said(found)


def test_digits_of_other_scripts_are_no_retries() -> None:
    templates = "  - {name: s, container: {image: i}, retryStrategy: {limit: '²'}}"
    _, spec = imported(argo("{name: a, template: s}", templates=templates))
    assert (
        spec.tasks[0].retries
        == read_pipeline("pipeline: p\ntasks: {a: {kind: etl}}", name="p", as_of=0.0)
        .tasks[0]
        .retries
    )


def test_a_pipeline_of_kfp_without_a_root_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="no task of it maps"):
        import_pipeline("pipelineInfo: {name: p}", name="f.yaml")


def test_a_template_that_uses_itself_twice_is_read_in_bounded_steps() -> None:
    twice = "[[{name: a, template: t}], [{name: b, template: t}], [{name: c, template: one}]]"
    found, _ = imported(
        argo(
            "{name: a, template: one}",
            "{name: b, template: t}",
            templates=f"  - {{name: t, steps: {twice}}}",
        )
    )
    assert "over 1000 uses of templates are not read" in said(found)
    assert len(found.notes) <= 1_001


def test_a_group_of_kfp_that_uses_itself_twice_is_read_in_bounded_steps() -> None:
    inner = "".join(f"{name}: {{componentRef: {{name: g}}}}, " for name in "xy")
    components = f"  g: {{dag: {{tasks: {{{inner}z: {{componentRef: {{name: one}}}}}}}}}}"
    found, _ = imported(
        kfp("a: {componentRef: {name: one}}", "b: {componentRef: {name: g}}", components=components)
    )
    assert "over 1000 tasks and groups are not read" in said(found)


def test_no_limit_of_a_loop_of_kfp_is_none_of_ours() -> None:
    limited = loop_of_kfp("[1, 2]").removesuffix("}") + ", iteratorPolicy: {parallelismLimit: 0}}"
    _, spec = imported(kfp(limited))
    assert [task.at_once for task in spec.tasks] == [None, None]


def test_a_long_loop_of_argo_is_said() -> None:
    found, _ = imported(argo("{name: a, template: one, withSequence: {count: 101}}"))
    assert "it has 101 values, more than 100" in said(found)


def test_a_condition_of_kfp_on_an_output_that_has_no_name_of_ours_is_false_and_said() -> None:
    given = "{taskOutputParameter: {producerTask: a, outputParameterKey: a-b}}"
    second = (
        "b: {componentRef: {name: one}, dependentTasks: [a], "
        f"inputs: {{parameters: {{n: {given}}}}}, "
        f'triggerPolicy: {{condition: "{READS} > 0"}}}}'
    )
    found, spec = imported(kfp("a: {componentRef: {name: one}}", second))
    assert "the condition reads what is not known here: n" in said(found)
    assert spec.task("b").when == "false"


LISTED = "{name: b, template: one}"


@pytest.mark.parametrize(
    ("output", "key"), [("result", "result"), ("parameters.the-parts", "the_parts")]
)
def test_a_loop_of_argo_over_an_output_has_room_for_some_values(output: str, key: str) -> None:
    loop = (
        "{name: a, template: one, dependencies: [b], withParam: '{{tasks.b.outputs.OUTPUT}}',"
        " arguments: {parameters: [{name: x, value: '{{item.os}}-{{item}}'}]}}"
    ).replace("OUTPUT", output)
    found, spec = imported(argo(LISTED, loop, spec="  parallelism: 20"))
    first = spec.task("a-1")
    assert first.turn is not None
    assert (first.turn.task, first.turn.output, first.turn.parameter) == ("b", key, "item")
    assert (first.turn.most, first.at_once, len(spec.tasks)) == (10, 10, 11)
    assert first.command == ("run", "{{item.os}}-{{item}}")
    assert f"the plan reserves for 10 values of `b.{key}`" in said(found)
    assert len(found.notes) == 1


def test_a_loop_of_argo_over_an_output_in_a_loop_is_said() -> None:
    inner = "{name: i, template: one, withParam: '{{tasks.b.outputs.result}}'}"
    text = argo(
        "{name: a, template: t, withItems: [1, 2]}",
        templates=f"  - {{name: t, dag: {{tasks: [{LISTED}, {inner}]}}}}",
    )
    found, _ = imported(text)
    assert "this loop does not map: a loop in a loop" in said(found)


OVER = (
    "a: {componentRef: {name: looped}, dependentTasks: [split], inputs: {parameters: {list: "
    "{taskOutputParameter: {producerTask: split, outputParameterKey: Output}}}}, "
    "iteratorPolicy: {parallelismLimit: 2}, "
    "parameterIterator: {items: {inputParameter: list}, itemInput: the-item}}"
)
LOOPED = """  looped: {dag: {tasks: {fit: {componentRef: {name: one}, inputs: {parameters: {
      x: {componentInputParameter: the-item},
      y: {componentInputParameter: the-item,
          parameterExpressionSelector: 'parseJson(string_value)["os"]'}}}}}}}"""


def test_a_loop_of_kfp_over_an_output_has_room_for_some_values() -> None:
    found, spec = imported(kfp("split: {componentRef: {name: one}}", OVER, components=LOOPED))
    first = spec.task("fit-1")
    assert first.turn is not None
    assert (first.turn.task, first.turn.output, first.turn.parameter) == (
        "split",
        "Output",
        "the-item",
    )
    assert (first.after, first.at_once, len(spec.tasks)) == (("split",), 2, 11)
    assert first.parameters == {"x": "{{the-item}}", "y": "{{the-item.os}}"}
    assert "the plan reserves for 10 values of `split.Output`" in said(found)


def test_a_loop_of_kfp_over_a_given_list_is_written_out() -> None:
    task = (
        "a: {componentRef: {name: one}, inputs: {parameters: {list: "
        "{runtimeValue: {constant: '[3, 4]'}}}}, "
        "parameterIterator: {items: {inputParameter: list}, itemInput: n}}"
    )
    _, spec = imported(kfp(task))
    assert [task.parameters["n"] for task in spec.tasks] == [3, 4]


DIGITS = "9" * 5_000
DEEP = "[" * 100_000


@pytest.mark.parametrize(
    ("text", "note"),
    [
        (argo(f"{{name: a, template: one, withParam: '{DEEP}'}}"), "are not known yet"),
        (container(f"image: i, resources: {{limits: {{nvidia.com/gpu: '{DIGITS}'}}}}"), "gpu"),
        (container("image: i, resources: {limits: {cpu: 0}}"), "`cpu` does not map"),
        (
            kfp(
                "t: {componentRef: {name: one}}",
                resources=f"{{accelerator: {{count: '{DIGITS}'}}}}",
            ),
            "is no count of GPUs",
        ),
    ],
)
def test_values_that_no_number_or_list_can_be_are_said(text: str, note: str) -> None:
    found, _ = imported(text)
    assert note in said(found)


@pytest.mark.parametrize("limit", [DIGITS, "-1", "{{workflow.parameters.none}}"])
def test_retries_that_are_no_count_are_said(limit: str) -> None:
    template = f"  - {{name: s, retryStrategy: {{limit: '{limit}'}}, container: {{image: i}}}}"
    found, _ = imported(argo("{name: a, template: s}", templates=template))
    assert "is no count of retries" in said(found)


def test_texts_that_grow_with_each_template_are_not_put_in() -> None:
    ten = "{{inputs.parameters.x}}" * 10
    templates = [
        f"  - {{name: t{n}, inputs: {{parameters: [{{name: x}}]}}, steps: [[{{name: s,"
        f" template: t{n + 1}, arguments: {{parameters: [{{name: x, value: '{ten}'}}]}},"
        f" when: '{ten} != a'}}]]}}"
        for n in range(10)
    ]
    last = "  - {name: t10, container: {image: i, command: [echo, '{{inputs.parameters.x}}']}}"
    call = "{name: a, template: t0, arguments: {parameters: [{name: x, value: yy}]}}"
    found = import_pipeline(argo(call, templates="\n".join([*templates, last])), name="f.yaml")
    assert "its values are not put in: all texts would grow by over 1,000,000" in said(found)
    assert "the task never runs: all texts would grow" in said(found)
    assert len(found.text) < 5_000_000


def test_texts_of_kfp_grow_no_further_than_there_is_room() -> None:
    value = "y" * 100_000
    words = "{{$.inputs.parameters['n']}}" * 100
    text = kfp(
        f"t: {{componentRef: {{name: one}}, inputs: {{parameters: {{n: {{runtimeValue: "
        f"{{constant: {value}}}}}}}}}}}"
    ).replace("{{$.inputs.parameters['n']}}", words)
    found = import_pipeline(text, name="f.yaml")
    assert found.text.count("y" * 100_000) == 11  # in the words, and as the parameter
    assert "is known only while it runs" in said(found)


def test_braces_that_never_close_are_read_in_one_pass() -> None:
    """Read by every way to share the spaces out, as it once was, this would take hours."""
    found, _ = imported(container("image: i, command: ['{{" + " " * 9_000 + "']"))
    assert not found.notes


def test_a_depends_that_makes_a_huge_condition_is_said() -> None:
    big = ",".join(f"{{name: b{n}, template: one}}" for n in range(100))
    text = argo(
        "{name: g, template: big}",
        "{name: z, template: one, depends: '" + "||".join(["g.Failed"] * 1_000) + "'}",
        templates=f"  - {{name: big, dag: {{tasks: [{big}]}}}}",
    )
    assert "makes a condition of over 100,000 characters" in said(imported(text)[0])


def test_tasks_in_a_circle_are_taken_from_the_first() -> None:
    one = "{name: a, template: one, dependencies: [b]}"
    found, spec = imported(argo(one, "{name: b, template: one, dependencies: [a]}"))
    assert [task.name for task in spec.tasks] == ["a", "b"]
    assert "`b` is no task before it" in said(found)


@pytest.mark.parametrize(
    ("sequence", "items"),
    [
        ("{start: '-1', end: '1'}", [-1, 0, 1]),
        ("{start: '1', end: '0'}", [1, 0]),
        ("{count: '{{workflow.parameters.n}}', format: 'x%02d'}", [0, 1]),
    ],
)
def test_a_sequence_has_the_numbers_that_argo_counts(sequence: str, items: list[int]) -> None:
    spec = "  arguments: {parameters: [{name: n, value: '2'}]}"
    found, read = imported(argo(f"{{name: a, template: one, withSequence: {sequence}}}", spec=spec))
    assert [task.parameters["item"] for task in read.tasks] == items
    assert ("`format` does not map" in said(found)) == ("format" in sequence)


def test_a_sequence_whose_end_is_not_known_is_said() -> None:
    sequence = "withSequence: {end: '{{workflow.parameters.none}}'}"
    found, _ = imported(argo(f"{{name: a, template: one, {sequence}}}"))
    assert "its values are not known yet" in said(found)


@pytest.mark.parametrize(
    ("given", "kept"), [("1.10", "1.10"), ("007", "007"), ("1_0", "1_0"), ("7", 7), ("true", True)]
)
def test_a_parameter_keeps_the_digits_it_was_written_with(given: str, kept: object) -> None:
    call = f"arguments: {{parameters: [{{name: x, value: '{given}'}}]}}"
    _, spec = imported(argo(f"{{name: a, template: one, {call}}}"))
    assert spec.tasks[0].parameters["x"] == kept


def test_a_condition_may_compare_with_the_end_of_a_line() -> None:
    _, spec = imported(argo("{name: a, template: one, when: \"'a\\rb' == x\"}"))
    assert spec.tasks[0].when is not None


def test_many_documents_before_the_workflow_are_counted() -> None:
    found, _ = imported("---\na: 1\n" * 100 + "---\n" + argo("{name: a, template: one}"))
    assert said(found).count("the document of its platform does not map") == 100
