"""Every code of a fault or error: its title, and the page that `berth help CODE` prints."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Code:
    """One page: what the code means and what to do about it."""

    code: str
    title: str
    explanation: str


_PAGES = (
    Code(
        "S001",
        "The document cannot be read",
        "The text is not one YAML document: a bracket, quote, colon or the indentation is wrong, "
        "it is empty, too large, or nested too deep. Only the first fault of syntax is named, "
        "because nothing after it can be trusted. `berth init NAME` writes a document to start "
        "from.",
    ),
    Code(
        "S002",
        "Unknown key",
        "Berth refuses keys it does not know, so that a misspelt wish is never silently ignored. "
        "Names that look alike are listed. The JSON Schema at /schema/pipeline.json lets editors "
        "complete keys.",
    ),
    Code(
        "S003",
        "A key is missing",
        "A pipeline needs `pipeline` and `tasks`, and each task needs `kind`; a pool of a fleet "
        "needs its machine, count, cpu, memory and price. All else is forecast or has a default, "
        "which `berth plan --show-defaults` prints.",
    ),
    Code(
        "S004",
        "A value has the wrong form",
        "A mapping, a list, a word or a number was expected and something else was written. The "
        "message names both.",
    ),
    Code(
        "S005",
        "Not one of the possible words",
        "The value comes from a closed list (kinds of task, model families, ways to join, "
        "providers, time zones); the nearest words are named.",
    ),
    Code(
        "S006",
        "A quantity cannot be read, or has the wrong unit",
        "Quantities are written with their unit: `412 GiB`, `50 ms`, `99.9 %`, "
        "`60 USD per run`, `300/s peak`, `in 30 min`, `2 per day`. A unit of another kind "
        "(a duration where an amount of memory belongs) is refused.",
    ),
    Code(
        "S007",
        "A quantity is out of range",
        "The quantity is negative, zero where that cannot be meant, or so large or small that it "
        "is almost certainly a slip. The message names the bounds.",
    ),
    Code(
        "S008",
        "A key or item was written twice",
        "YAML would keep the last one and forget the first without a word; Berth refuses both.",
    ),
    Code(
        "S009",
        "A name cannot be used",
        "Names of pipelines, tasks, clusters and pools have at most 40 lower-case letters, digits "
        "and single dashes, and start with a letter. They become names of folders, of objects in "
        "Kubernetes and of variables in conditions (`package-knn` is read as `package_knn`).",
    ),
    Code(
        "S010",
        "Unknown task under `after`, `beside` or `apart from`",
        "These name tasks of the same pipeline; `labels` name tasks of any.",
    ),
    Code(
        "S011",
        "The pipeline has a cycle",
        "Tasks that wait for one another in a circle never start. The message names the circle; "
        "remove one of its steps.",
    ),
    Code(
        "S012",
        "No cluster can run a task",
        "Every pool of every cluster is ruled out for this task; the nearest one is named with "
        "the limit that binds. `berth explain PLAN TASK` lists all of them.",
    ),
    Code(
        "S013",
        "A condition cannot be parsed",
        "Conditions under `when` are written in the Common Expression Language (CEL): "
        '`etl.rows > 1000 && compare.best == "knn"`. Dashes in names of tasks are written as '
        "underscores. A task whose name is a reserved word of CEL (`package`, `loop`, ...) cannot "
        "be named in a condition; give it another name.",
    ),
    Code(
        "S014",
        "A condition names a task that is not upstream",
        "A condition is evaluated when all upstream tasks have ended and can read only their "
        "outputs: those of the tasks under `after` and of the tasks before them.",
    ),
    Code(
        "S015",
        "A condition reads an output that may not exist",
        "The task's kind does not write this output, or the task may be skipped. Reading it would "
        "fail the task. Guard it: `has(etl.rows) && etl.rows > 1000`.",
    ),
    Code(
        "S016",
        "Not in this fleet",
        "A region, continent, provider or GPU model is named that no cluster of the fleet has, or "
        "a file outside of the pipeline's folder, which only processes of this machine can read.",
    ),
    Code(
        "S017",
        "The deadline has passed",
        "The deadline lies before the instant the plan is made for. `in 30 min` and `daily 06:00 "
        "Europe/Paris` are always ahead.",
    ),
    Code(
        "S018",
        "The key belongs to another kind of task",
        "`requests`, `p99` and `availability` belong to serve tasks, `gates` to evaluate tasks, "
        "`trials` and `workers` to train tasks.",
    ),
    Code(
        "S019",
        "Two wishes contradict each other",
        "Both cannot hold, or only one of them may be given; the message names both.",
    ),
    Code(
        "S020",
        "The wishes cannot hold together",
        "No plan keeps all wishes. The smallest set of wishes that clash is named, and for each "
        "the cheapest relaxation that would end the clash.",
    ),
    Code(
        "S021",
        "A change cannot be read",
        "`berth what-if` takes changes such as `cluster:NAME=down`, `sla.deadline=daily 04:00`, "
        "`limits.budget=40 USD per run`, `plan.budget=100 USD`, `plan.whole=yes`, `demand=x1.5`, "
        "`price:CLUSTER/POOL=2 USD per hour` and "
        "`price:CLUSTER=x1.2`; `--sweep` takes `KEY=A..B` or `KEY=A..B/STEP`.",
    ),
    Code(
        "S022",
        "A task is to stand beside or apart from itself",
        "`beside` and `apart from` are about other tasks. Copies of one task that are to stand on "
        "machines of their own are asked for by its availability.",
    ),
    Code(
        "S023",
        "A loop cannot be written out",
        "`each` takes lists of values by parameter, which are combined (`family: [knn, tree]`), or "
        "a list of mappings. A loop becomes at most 100 tasks, `NAME-1` to `NAME-N`; `at once` "
        "says how many of them may run at the same time. A loop over a list that a task before it "
        "writes (`part: split.parts`) needs `most`, for which a plan reserves.",
    ),
    Code(
        "S024",
        "A pipeline of another system cannot be read",
        "`berth import` and `berth plan` read the compiled form of Kubeflow Pipelines (version 2) "
        "and workflows of Argo. What does not map is listed with its place; where no task maps, "
        "nothing is left to plan.",
    ),
    Code(
        "S025",
        "Workers that nobody starts",
        "`workers` says how many train together. The command of the task starts them, on each "
        "node those that `$BERTH_WORKERS` says: `berth train` and `torchrun` do so without "
        "options. What Berth trains without a command is one process.",
    ),
    Code(
        "S026",
        "A network cannot be read",
        "`network_layers` names each layer of the network that a task trains, with commas between: "
        "`linear 512, ReLU, dropout, linear 10, Softmax`. A layer of another kind says how many "
        "values it puts out for one sample and how many parameters it learns: `conv2d 8192 1792`. "
        "`network_inputs` (values of one sample) and `batch_size` stand beside it.",
    ),
    Code("B000", "Berth failed", "A failure without a code of its own; the message says more."),
    Code(
        "R000",
        "It may work later",
        "The same call may succeed when it is made again.",
    ),
    Code(
        "R001",
        "Something does not answer",
        "The engine, a cluster or a model server did not answer in time. `berth doctor` looks at "
        "each of them.",
    ),
    Code(
        "R002",
        "Somebody else was faster",
        "The record changed between reading and writing; nothing was written. Try again.",
    ),
    Code("N001", "Nothing has that name", "Names that look alike are listed."),
    Code(
        "W001",
        "The world changed",
        "The plan was made for another state of the clusters or of what runs there. Plan again "
        "and compare: `berth diff`.",
    ),
    Code(
        "G001",
        "A rule forbids it",
        "A policy or a guard (cool-down, budget, times per day) forbids the step.",
    ),
    Code(
        "D001",
        "Stored data is damaged",
        "A record, a package or an artefact is not what its digest or type says. Nothing was "
        "loaded. Restore it from a backup or make it again.",
    ),
    Code(
        "P001",
        "A plugin cannot be loaded",
        "An entry point of an installed distribution cannot be imported, is not a class, or has "
        "the name of another one. Update or remove the distribution that is named.",
    ),
    Code(
        "C001",
        "There is no demand to read",
        "The file of past demand is empty, or has no row below its first line.",
    ),
    Code(
        "C002",
        "The columns of the demand are others",
        "The first line names `hour` and then one GPU model in each column, each once.",
    ),
    Code(
        "C003",
        "A row of the demand was cut off",
        "The row has fewer or more values than the first line names: the file was cut off or "
        "damaged on its way. Fetch it again.",
    ),
    Code(
        "C004",
        "A value is not demand",
        "Demand is a finite number of at least 0 and at most ten million GPUs: more is memory in "
        "bytes, or another unit. An hour whose demand is not known is left empty.",
    ),
    Code(
        "C005",
        "The demand is too short",
        "A forecast needs 48 known hours at least; with eight weeks and more it learns the "
        "week as well as the day.",
    ),
    Code(
        "C006",
        "The hours do not go on",
        "Hours are whole numbers or instants (ISO 8601), each later than the one before, no more "
        "than 31 days apart. Missing hours in between are taken as unknown.",
    ),
    Code(
        "C007",
        "The horizon is absurd",
        "A capacity report looks ahead between 1 hour and 31 days.",
    ),
    Code(
        "C008",
        "The demand is of another time",
        "The series has no value in the two weeks before the report. Give newer demand, or make "
        "the report for an earlier time with `--as-of`.",
    ),
    Code(
        "C009",
        "The totals cannot add up",
        "A total is the sum of other series, each a column of the demand or another total, and no "
        "total is part of itself. `*` in a part stands for any text in the name of a column.",
    ),
    Code(
        "H001",
        "There is no run history to read",
        "The file of past runs is empty, or has no row below its first line.",
    ),
    Code(
        "H002",
        "The columns of the run history are others",
        "The first line names the fields of a run record, each once; `examples/data/"
        "run-history.csv` shows them.",
    ),
    Code(
        "H003",
        "A row of the run history was cut off",
        "The row has fewer or more values than the first line names: the file was cut off or "
        "damaged on its way. Fetch it again.",
    ),
    Code(
        "H004",
        "A value of the run history cannot be",
        "Amounts are numbers of at least 0, `kind` is a kind of task, `succeeded` is true or "
        "false, and `attributes` holds NAME=VALUE pairs with `;` between.",
    ),
    Code(
        "H010",
        "A training has a size that no network has",
        "A network has at least one layer, one input and a batch of one, and no negative count.",
    ),
    Code(
        "H011",
        "There is too little to learn from",
        "The message says how much it takes. Until there is so much, presets are used.",
    ),
    Code(
        "H012",
        "A measured value is missing or negative",
        "A clock that went back gives negative durations, a counter that was reset negative rates, "
        "and a failed query NaN. Leave the run out, or measure it again.",
    ),
    Code(
        "H013",
        "A measured value is larger than anything can be",
        "Usually it is in another unit: bytes where GiB are expected, milliseconds where seconds "
        "are. The message names the unit that would fit.",
    ),
    Code(
        "H014",
        "A run is submitted twice",
        "Every attempt has a name of its own, under which its end is told later.",
    ),
    Code(
        "H015",
        "A run ended that nobody submitted",
        "Its features are what was known at submission, so that its end alone teaches nothing.",
    ),
    Code(
        "M001",
        "The model runner cannot use a file",
        "A model is a package (its folder or a tar of it) or an ONNX file, a schema is proto2 or "
        "proto3 in one file with a service, a configuration has `name=value` lines. The three must "
        "fit: a field for each feature of the model, and one for its answer. The message names "
        "what does not.",
    ),
)

CODES: dict[str, Code] = {page.code: page for page in _PAGES}
"""Every code with its page, in the order in which `berth help` lists them."""
