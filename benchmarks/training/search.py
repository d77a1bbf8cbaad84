"""Epochs, time and best loss of early stopped search against none, on Fashion-MNIST, under kills.

27 configurations of a network are tried for up to 9 epochs: without pruning, with our asynchronous
successive halving, and with it while kill -9 ends a third of the trials. Every trial is a process;
all three draw the same configurations and seeds. Debian's package `dataset-fashion-mnist` holds
the data; where it is absent, that is said and nothing is measured.
"""

import argparse
import os
import random
import signal
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks import frame
from benchmarks.training import _fashion
from executors.training.trials import comparing
from executors.training.trials.standing import Records
from executors.training.trials.study import Plan, Study

TRIALS, EPOCHS, WORKERS = 27, 9, 2
ANCHOR = "243 without pruning; Optuna's ASHA 55 to 69, Hyperband 125 to 187"
KILL_AFTER_SECONDS = (0.01, 0.08)
SAME_LOSS = 0.005


def add_options(group: argparse._ArgumentGroup) -> None:
    """Adds the options of this benchmark."""
    group.add_argument("--fashion", type=Path, default=_fashion.folder(), help="folder of images")
    group.add_argument("--seeds", type=int, default=3, help="how many seeds")


def run(context: frame.Context) -> Iterator[frame.Figure]:
    """Yields the figures of all seeds."""
    os.environ[_fashion.VARIABLE] = str(context.options["fashion"])
    if not (_fashion.folder() / "train-images-idx3-ubyte.gz").exists():
        raise frame.BenchmarkError(
            f"training.search is not run: no Fashion-MNIST in {str(_fashion.folder())!r}; "
            f"install Debian's {_fashion.PACKAGE}, or name its folder with --fashion"
        )
    seeds = range(1 if context.quick else context.options["seeds"])
    found = {seed: one_seed(context.scratch, seed) for seed in seeds}
    yield from figures(found)


def one_seed(scratch: Path, seed: int) -> dict[str, Records]:
    """Runs and prints the three searches of one seed."""
    found = {
        "no pruning": search(scratch / f"all-{seed}", seed, eta=None),
        "halving": search(scratch / f"halving-{seed}", seed, eta=3),
        "halving, killed": search(scratch / f"killed-{seed}", seed, eta=3, kills=TRIALS // 3),
    }
    print(f"\nseed {seed}\n{comparing.comparison(found)}")
    print(comparing.learning_curves(found["halving"], most=3))
    return found


def search(folder: Path, seed: int, *, eta: int | None, kills: int = 0) -> Records:
    """Runs one search, killing so many of its trials once each."""
    objective = f"{_fashion.__name__}:objective"
    plan = Plan(
        objective=objective, space=_fashion.SPACE, trials=TRIALS, epochs=EPOCHS, eta=eta, seed=seed
    )
    with Study(folder, plan, clock=time.monotonic) as study:
        return study.run(WORKERS, watch=killer(seed, kills))


def killer(seed: int, kills: int) -> Callable[[Mapping[str, Any]], None]:
    """Returns a watch that kills chosen trials, each at its first visit."""
    generator = random.Random(seed)
    # Not the last ones, so that for one that is too fast there is another that is still to begin.
    victims = set(generator.sample(range(2 * TRIALS // 3), kills))
    reserve = [number for number in range(TRIALS) if number not in victims]

    def watch(event: Mapping[str, Any]) -> None:
        if event.get("trial") not in victims:
            return
        if event["event"] == "started":
            delay = generator.uniform(*KILL_AFTER_SECONDS)
            threading.Timer(delay, _kill, [event["pid"]]).start()
        elif event["event"] == "ended":
            victims.remove(event["trial"])
            if event["code"] >= 0 and reserve:  # it was faster: another one takes its place
                victims.add(reserve.pop())

    return watch


def _kill(pid: int) -> None:
    """Kills a trial unless it has ended."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        print(f"trial process {pid} had ended before it could be killed")


def figures(found: Mapping[int, Mapping[str, Records]]) -> Iterator[frame.Figure]:
    """Yields the figures."""
    rows = [{n: comparing.row(n, r) for n, r in one.items()} for one in found.values()]
    every, pruned, killed = "no pruning", "halving", "halving, killed"
    yield frame.informs(
        "epochs without pruning, most of a seed", max(r[every].epochs for r in rows)
    )
    epochs = max(row[pruned].epochs for row in rows)
    yield frame.at_most("epochs with halving, most of a seed", epochs, 75, anchor=ANCHOR)
    worse = max(row[pruned].loss - row[every].loss for row in rows)
    yield frame.at_most("best loss above that without pruning, most", worse, SAME_LOSS)
    lost = max(row[every].accuracy - row[pruned].accuracy for row in rows)
    yield frame.at_most("accuracy of the best below that without pruning", lost, SAME_LOSS)
    yield frame.informs("accuracy of the best, mean", _mean(row[pruned].accuracy for row in rows))
    wall = statistics.median(row[pruned].wall_seconds / row[every].wall_seconds for row in rows)
    yield frame.at_most("wall clock over that without pruning, median", wall, 0.4)
    cpu = statistics.median(row[pruned].cpu_seconds / row[every].cpu_seconds for row in rows)
    yield frame.informs("processor time over that without pruning", cpu, anchor=".24 to .33")
    kills = min(sum(t.kills for t in one[killed].trials.values()) for one in found.values())
    yield frame.at_least("trials killed by kill -9, fewest of a seed", kills, TRIALS // 3)
    away = max(abs(row[killed].loss - row[pruned].loss) for row in rows)
    yield frame.at_most("best loss under kills, difference", away, SAME_LOSS)
    missing = max(TRIALS - row[killed].trials for row in rows)
    failed = max(sum(t.out for t in one[killed].trials.values()) for one in found.values())
    yield frame.at_most("trials lost or failed under kills", missing + failed, 0)
    again = max(row[killed].epochs - row[pruned].epochs for row in rows)
    yield frame.informs("epochs more under kills", again)


def _mean(values: Iterator[float]) -> float:
    return statistics.fmean(values)
