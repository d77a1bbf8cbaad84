"""`scripts/demo --kubernetes`: the story of `berth demo`, with a real node as one of its clusters.

    scripts/demo --kubernetes [--folder FOLDER] [OPTIONS OF berth demo, as --exit]

A control plane and a node are started as `scripts/cluster up --nodes kubelet` does. Berth's own
image is built and pushed to the node's registry, and the node pulls it from there. The node is
cheaper than every other cluster of the story, so that the plan places there what fits. When the
story wants a cluster to fail, node and control plane are ended as a power cut would end them.
"""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from api.cli.demonstrating import FAIL_WITH
from tests.support.clusters import building, programs, real_node
from tests.support.clusters.fixtures import Place
from tests.support.clusters.real_node import RealCluster
from tests.tools import cluster

ROOT = Path(__file__).resolve().parents[2]
NAME = "harbour"
MACHINE = "harbour-node"
_PULL_SECONDS = 600.0
_SETTINGS = """\
kubeconfig = "{kubeconfig}"
image = "{image}"
listen = "{address}:{port}"
stop_seconds = 6.0

[clusters.{name}]
namespace = "{namespace}"
region = "berlin"
continent = "eu"
grace_seconds = 5
writes_per_second = 0
reached_by = "pod"

[prices]
{machine} = 0.01
"""


def main(arguments: Sequence[str]) -> int:
    """Tell the story, or cut the power in the midst of it; return the exit code."""
    parser = argparse.ArgumentParser(prog="scripts/demo --kubernetes", allow_abbrev=False)
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "demo-cluster")
    parser.add_argument("--power-cut", action="store_true", help=argparse.SUPPRESS)
    given, story = parser.parse_known_args(arguments)
    folder: Path = given.folder.absolute()
    if given.power_cut:
        cut(folder)
        return 0
    # Whoever ends this ends what it started.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    cluster.down(folder)
    try:
        building.build((*building.PLANE, *building.NODE))
        why = real_node.unavailable()
        if why:
            sys.stderr.write(f"error: {why}\n")
            return 1
        say("starting a control plane and a node ...")
        return tell(folder, story)
    except (building.UnavailableError, TimeoutError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        cluster.down(folder)


def tell(folder: Path, arguments: Sequence[str]) -> int:
    """Start the cluster and tell the story on it; return the exit code."""
    made = real_node.start(folder / NAME, None)
    say(f"{made.node.name} is ready; it pulls {made.image}")
    place = made.place()
    label(place, made)
    pull(place, made)
    settings = folder / "kubernetes.toml"
    settings.write_text(settings_of(place, made), encoding="utf-8")
    fails = [sys.executable, "-m", "tests.tools.kubernetes_demo"]
    fails += ["--power-cut", "--folder", str(folder)]
    told = {"BERTH_KUBERNETES": str(settings), FAIL_WITH: shlex.join(fails)}
    command = [sys.executable, "-m", "berth", "demo", *arguments]
    story = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **told})
    # Ctrl-C reaches the story too, which ends what it started; the cluster is needed for that.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: story.terminate())
    return story.wait()


def settings_of(place: Place, made: RealCluster) -> str:
    """Return what the engine is told of the cluster."""
    return _SETTINGS.format(
        kubeconfig=place.kubeconfig,
        image=made.image,
        address=made.node.address,
        port=programs.free_port(),
        name=NAME,
        namespace=place.namespace,
        machine=MACHINE,
    )


def label(place: Place, made: RealCluster) -> None:
    """Call the machine by a name, by which its price is found."""
    labels = {"node.kubernetes.io/instance-type": MACHINE}
    place.admin.call(
        "PATCH",
        f"/api/v1/nodes/{made.node.name}",
        body={"metadata": {"labels": labels}},
        content_type="application/merge-patch+json",
    )


def pull(place: Place, made: RealCluster) -> None:
    """Have the node pull the image, so that no task of the story waits for it."""
    container = {"name": "pull", "image": made.image, "command": ["berth", "version"]}
    body = {
        "metadata": {"name": "pull"},
        "spec": {"restartPolicy": "Never", "containers": [container]},
    }
    path = f"/api/v1/namespaces/{place.namespace}/pods"
    place.admin.call("POST", path, body=body)

    def is_over() -> bool:
        phase = place.admin.call("GET", f"{path}/pull")["status"]["phase"]
        if phase == "Failed":
            raise building.UnavailableError("Berth's image does not run on the node")
        return bool(phase == "Succeeded")

    programs.wait_until(is_over, "the image on the node", _PULL_SECONDS)
    place.admin.call("DELETE", f"{path}/pull")


def cut(folder: Path) -> None:
    """End node and control plane with all that runs there, and leave their folder."""
    for node in cluster.real_nodes(folder):
        node.stop()
    for each in cluster.planes(folder):
        each.stop()


def say(text: str) -> None:
    """Tell people what takes a while."""
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
