"""GPU allocated by online packing of pods onto shared GPUs, by the protocol of FGD (ATC '23).

Reads `placement/openb/` of the data folder: `openb_node_list_*.csv`, every
`openb_pod_list_TRACE.csv`, `event_orders.npz` (`TRACE_SEED/order`, `TRACE_SEED/noderank`),
`expected_alloc.csv` and `expected_frag.csv`. Pods arrive once, in that order, until 130 % of the
GPUs have been asked for; each is placed at once and for good, and none that fits is refused. A
policy knows the trace's histogram of shapes, not the pods to come. Where the published order of a
trace and seed is missing, one of our own is drawn, and figures say so; our policy is then compared
with FGD replayed in the same run. `--window` places several pods together. `--moves` may move
placed pods (`placement.packing.repacking`). Beside it stands on the default trace, without a bar,
what breaks the rule that none that fits is refused: a pod that fits may wait until all have come,
by when there may be no room for it. So does what free moves would bring (`_openb_ideal`).
"""

import argparse
import dataclasses
import statistics
from collections.abc import Iterator, Sequence
from fractions import Fraction

from benchmarks import frame
from benchmarks.placement import _openb as openb
from benchmarks.placement import _openb_ideal as ideal
from benchmarks.placement._openb_replay import (
    PIECE_MILLI,
    Knowledge,
    Outcome,
    Way,
    replay,
    warm,
)
from placement.packing.policies import FillSettings, Policy
from placement.packing.repacking import RepackingSettings

PUBLISHED = {"fgd": Policy.FRAGMENTATION, "bestfit": Policy.BEST_FIT}
OURS = "berth"
WAITS = "berth, pods that fit may wait"
PERCENTS = (100, openb.ARRIVED_PERCENT)
TOLERANCE_PERCENT = 0.01

Outcomes = dict[tuple[str, str, int], Outcome]


def add_options(group: argparse._ArgumentGroup) -> None:
    """Adds the options."""
    names = ", ".join([*PUBLISHED, OURS])
    group.add_argument("--policy", default=OURS, help=f"one or more of {names}, with commas")
    group.add_argument("--traces", default="", help="only these traces, with commas")
    group.add_argument("--seeds", default="42-46", help="first and last seed, or one")
    group.add_argument(
        "--moves", default="", help="moved pods at most, such as `2%%` of the placed"
    )
    group.add_argument("--window", type=int, default=1, help="pods that are placed together")
    group.add_argument("--unknown", action="store_true", help="no histogram: learn from what came")
    group.add_argument("--streams", type=int, default=FillSettings().streams)
    group.add_argument("--length", type=int, default=FillSettings().length)


def run(context: frame.Context) -> Iterator[frame.Figure]:
    """Yields the figures."""
    ways = _ways(context)
    seeds = _seeds(str(context.options["seeds"]))[: 1 if context.quick else None]
    nodes = openb.read_nodes(context)
    outcomes: Outcomes = {}
    ideals: list[float] = []
    ours_drawn = 0
    traces = _traces(context)
    may_move = OURS in ways and ways[OURS].repacking is not None
    for way in ways.values():
        warm(traces[0], nodes, way)
    for trace in traces:
        for seed in seeds:
            arrivals = openb.arrivals(context, trace, nodes, seed)
            ours_drawn += not arrivals.published
            for name, way in ways.items():
                if name != WAITS or trace.name == "default":
                    outcomes[trace.name, name, seed] = replay(trace, arrivals, way, PERCENTS)
            if may_move and trace.name == "default":
                ideals += _ideal(trace, arrivals)
    if ours_drawn:
        yield frame.informs("orders of our own, the published one missing", ours_drawn)
    broken = sum(len(outcome.broken) for outcome in outcomes.values())
    yield frame.at_most("limits broken, by an independent check", broken, 0)
    for name in ways:
        if name in PUBLISHED:
            yield from _published(context, name, outcomes)
        elif name == OURS:
            yield from _compared(outcomes, ways[OURS].repacking)
    if ideals:
        yield frame.informs(
            "default: allocated if moves were free and GPU the only limit",
            _mean(ideals),
            unit="%",
        )


def _ways(context: frame.Context) -> dict[str, Way]:
    options = context.options
    asked = [name.strip() for name in str(options["policy"]).split(",")]
    unknown = [name for name in asked if name not in (*PUBLISHED, OURS)]
    if unknown:
        raise frame.BenchmarkError(
            f"no policy {unknown[0]!r}; known: {', '.join(PUBLISHED)}, {OURS}"
        )
    # Ours is compared with FGD of the same run.
    names = dict.fromkeys(["fgd", *asked] if OURS in asked else asked)
    window = int(options["window"])
    ways = {name: Way(policy=PUBLISHED[name]) for name in names if name in PUBLISHED}
    if OURS in names:
        ways[OURS] = Way(
            policy=Policy.FILL,
            knowledge=Knowledge.SEEN if options["unknown"] else Knowledge.HISTOGRAM,
            settings=FillSettings(streams=int(options["streams"]), length=int(options["length"])),
            repacking=_repacking(str(options["moves"])),
            window=window,
        )
        if (repacking := ways[OURS].repacking) is not None:
            waits = dataclasses.replace(repacking, waits=True)
            ways[WAITS] = dataclasses.replace(ways[OURS], repacking=waits)
    return ways


def _ideal(trace: openb.Trace, arrivals: openb.Arrivals) -> list[float]:
    shapes = [trace.shapes[pod] for pod in arrivals.pods]
    percent = ideal.allocated_percent(shapes, sum(node.gpus for node in arrivals.nodes))
    return [] if percent is None else [percent]


def _repacking(moves: str) -> RepackingSettings | None:
    if not moves:
        return None
    try:
        share = Fraction(moves.removesuffix("%")) / (100 if moves.endswith("%") else 1)
    except ValueError as error:
        raise frame.BenchmarkError(f"`--moves {moves}` is no share; give one like 2%") from error
    return RepackingSettings(share=share)


def _seeds(text: str) -> list[int]:
    first, _, last = text.partition("-")
    try:
        return list(range(int(first), int(last or first) + 1))
    except ValueError as error:
        raise frame.BenchmarkError(f"`--seeds {text}` is no range; give one like 42-46") from error


def _traces(context: frame.Context) -> list[openb.Trace]:
    """Reads the traces asked for, the one named `default` first."""
    paths = context.files(openb.POD_LISTS)
    wanted = {name for name in str(context.options["traces"]).split(",") if name}
    traces = [openb.read_trace(path) for path in paths]
    kept = [trace for trace in traces if not wanted or trace.name in wanted]
    if not kept:
        known = ", ".join(trace.name for trace in traces)
        raise frame.BenchmarkError(f"no trace of {sorted(wanted)}; known: {known}")
    kept.sort(key=lambda trace: (trace.name != "default", trace.name))
    return kept[: 1 if context.quick else None]


def _published(context: frame.Context, name: str, outcomes: Outcomes) -> Iterator[frame.Figure]:
    """Compares a published policy with its published values."""
    asked = {key: outcome for key, outcome in outcomes.items() if key[1] == name}
    known = openb.expected(context, str(openb.ARRIVED_PERCENT), kind="alloc")
    fragments = openb.expected(context, str(openb.ARRIVED_PERCENT), kind="frag")
    for what, values, measured in (
        ("allocation", known, {key: _allocated(outcome) for key, outcome in asked.items()}),
        ("fragment", fragments, {key: o.fragment_percent for key, o in asked.items()}),
    ):
        gaps = [abs(measured[key] - values[key]) for key in measured if key in values]
        if gaps:
            yield frame.at_most(
                f"{name}: largest difference from the published {what}, {len(gaps)} replays",
                round(max(gaps), 3),
                TOLERANCE_PERCENT,
                unit="points",
            )
    for trace in dict.fromkeys(key[0] for key in asked):
        runs = {key: outcome for key, outcome in asked.items() if key[0] == trace}
        published = [known[key] for key in runs if key in known]
        anchor = f"published {statistics.mean(published):.2f}" if published else "not published"
        value = _mean([_allocated(outcome) for outcome in runs.values()])
        yield frame.informs(f"{name}: {trace}, allocated", value, unit="%", anchor=anchor)


def _compared(outcomes: Outcomes, repacking: RepackingSettings | None) -> Iterator[frame.Figure]:
    """Compares our policy with FGD of the same run."""
    traces = list(dict.fromkeys(key[0] for key in outcomes))
    ours = {trace: _of(outcomes, trace, OURS) for trace in traces}
    fgd = {trace: _of(outcomes, trace, "fgd") for trace in traces}
    margins = {}
    for trace in traces:
        value, other = (_mean([_allocated(o) for o in side[trace]]) for side in (ours, fgd))
        margins[trace] = value - other
        at_full = " and ".join(
            f"{_mean([o.allocated_percent[100] for o in side[trace]]):.2f}" for side in (ours, fgd)
        )
        yield frame.informs(
            f"{trace}: allocated",
            value,
            unit="%",
            anchor=f"FGD {other:.2f} (both at 100 % arrived: {at_full})",
        )
    if "default" in ours:
        yield from _on_default(ours["default"], fgd["default"], may_move=repacking is not None)
        if repacking is not None:
            yield from _with_waiting(_of(outcomes, "default", WAITS), ours["default"])
    yield frame.at_least(
        "mean of all traces above FGD's", _mean(list(margins.values())), 0.0, unit="points"
    )
    worst = min(margins, key=lambda trace: margins[trace])
    yield frame.at_least(
        "worst trace against FGD", margins[worst], -0.1, unit="points", anchor=worst
    )
    yield from _efforts([outcome for runs in ours.values() for outcome in runs], repacking)


def _with_waiting(waits: Sequence[Outcome], ours: Sequence[Outcome]) -> Iterator[frame.Figure]:
    """Shows what is gained, and at whose cost, where a pod that fits may wait."""
    yield frame.informs(
        "default, pods that fit may wait: allocated",
        _mean([_allocated(outcome) for outcome in waits]),
        unit="%",
        anchor="no bar: it breaks the rule that none that fits is refused",
    )
    yield frame.informs(
        "default, pods that fit may wait: allocated at 100 % arrived",
        _mean([outcome.allocated_percent[100] for outcome in waits]),
        unit="%",
        anchor=f"where none waits: {_mean([outcome.allocated_percent[100] for outcome in ours])}",
    )
    yield frame.informs(
        "default, pods that fit may wait: pods that did, mean",
        _mean([outcome.waited for outcome in waits]),
        anchor=f"placed when all had come: {_mean([outcome.late for outcome in waits])}",
    )
    yield frame.informs(
        "default, pods that fit may wait: pods placed, mean",
        _mean([outcome.placed for outcome in waits]),
        anchor=f"where none waits: {_mean([outcome.placed for outcome in ours])}",
    )
    yield frame.informs(
        "default, pods that fit may wait: moved of those placed, at most",
        max(_moved_percent(outcome) for outcome in waits),
        unit="%",
    )


def _on_default(
    ours: Sequence[Outcome], fgd: Sequence[Outcome], *, may_move: bool
) -> Iterator[frame.Figure]:
    yield frame.at_least(
        "default: allocated",
        _mean([_allocated(outcome) for outcome in ours]),
        97.5 if may_move else 95.6,
        unit="%",
        anchor="98.26 where all arrivals are known and sorted" if may_move else "FGD 95.40",
    )
    yield frame.at_most(
        "default: fragment",
        _mean([outcome.fragment_percent for outcome in ours]),
        4.4,
        unit="% of GPUs",
        anchor=f"FGD {_mean([outcome.fragment_percent for outcome in fgd]):.2f}",
    )
    # No move joins these: each is what a pod leaves of its own device.
    yield frame.informs(
        f"default: idle in pieces of less than {PIECE_MILLI} milli",
        _mean([outcome.pieces_percent for outcome in ours]),
        unit="% of GPUs",
    )
    longest = max(ours, key=lambda outcome: outcome.seconds)
    yield frame.at_most(
        "default: longest replay", longest.seconds, 20, unit="s", anchor=_cpu(longest)
    )


def _efforts(
    ours: Sequence[Outcome], repacking: RepackingSettings | None
) -> Iterator[frame.Figure]:
    longest = max(ours, key=lambda outcome: outcome.seconds)
    yield frame.informs("longest replay", longest.seconds, unit="s", anchor=_cpu(longest))
    if repacking is not None:
        most = max(_moved_percent(outcome) for outcome in ours)
        bar = 100 * float(repacking.share)
        yield frame.at_most("pods moved of those placed, at most", most, bar, unit="%")


def _moved_percent(outcome: Outcome) -> float:
    return 100 * outcome.moves / max(1, outcome.placed)


def _cpu(outcome: Outcome) -> str:
    return f"{outcome.cpu_seconds:.1f} s of CPU, {outcome.arrived:,} arrivals"


def _of(outcomes: Outcomes, trace: str, name: str) -> list[Outcome]:
    return [outcome for key, outcome in outcomes.items() if key[:2] == (trace, name)]


def _allocated(outcome: Outcome) -> float:
    return outcome.allocated_percent[openb.ARRIVED_PERCENT]


def _mean(values: Sequence[float]) -> float:
    return round(statistics.mean(values), 3)
