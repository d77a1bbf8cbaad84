"""`python -m executors.serving FOLDER`: a model server where the command line is not installed."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from engine.model.errors import BerthError
from executors.serving import faces, standalone
from executors.serving.v2.service import Limits


def main(arguments: Sequence[str]) -> int:
    """Serve until a signal ends it; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m executors.serving", description=__doc__)
    parser.add_argument("folder", type=Path, help="the model repository: FOLDER/NAME/VERSION/")
    parser.add_argument("--host", default=faces.HOST)
    parser.add_argument("--port", type=int, default=8080, help="of REST; 0 chooses a free one")
    parser.add_argument("--grpc-port", type=int, help="of gRPC; none by default")
    parser.add_argument("--audit", type=Path, help="file to which swaps are appended")
    parser.add_argument("--endpoint", type=Path, help="file to write the addresses to")
    parser.add_argument("--drain-seconds", type=float, default=0.0)
    parser.add_argument("--body-mib-max", type=int, default=64)
    given = parser.parse_args(arguments)

    def announce(port: int, grpc_port: int | None) -> None:
        if given.endpoint:
            standalone.write_endpoint(given.endpoint, given.host, port, grpc_port)

    settings = standalone.ServerSettings(
        folder=given.folder,
        host=given.host,
        port=given.port,
        grpc_port=given.grpc_port,
        drain_seconds=given.drain_seconds,
        audit=given.audit,
        limits=Limits(body_bytes_max=given.body_mib_max << 20),
        announce=announce,
    )
    try:
        standalone.run(settings)
    except BerthError as error:
        sys.stderr.write(f"{error.message}\n{error.fix}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
