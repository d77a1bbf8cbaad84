"""A PostgreSQL server of a test's own: Debian's programs, a temporary folder, a socket in it.

It opens no port unless it is told where. As root it runs as `nobody`, since PostgreSQL refuses to
be root. It is ended by its process id. Nothing here tests a loss of power, so that it need not wait
for the disk.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_START_SECONDS = 300.0
_USER = "nobody"


def programs() -> Path | None:
    """Return the folder of the newest server's programs, or None where there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if found:
        return found[-1].parent
    on_path = shutil.which("postgres")
    return Path(on_path).resolve().parent if on_path else None


class PostgresqlServer:
    """A server that may be killed and started again.

    address: where it listens besides its socket, to everybody in `network`; "" for nowhere.
    """

    def __init__(
        self, folder: Path, bin_folder: Path, address: str = "", network: str = ""
    ) -> None:
        self.folder = folder
        self._address = address
        self._bin = bin_folder
        self._data = folder / "data"
        self._count = 0
        self._process: subprocess.Popen[bytes] | None = None
        if os.geteuid() == 0:
            shutil.chown(folder, _USER)
        self._call(
            "initdb", "-D", str(self._data), "-U", "berth", "-A", "trust", "-N", "-E", "UTF8"
        )
        if address:
            with (self._data / "pg_hba.conf").open("a", encoding="utf-8") as rules:
                rules.write(f"host all all {network} trust\n")

    def start(self) -> None:
        """Start it and wait until it takes requests."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(self._bin / "postgres", "-D", self._data, "-k", self.folder),
                    *(
                        "-c",
                        f"listen_addresses={self._address}",
                        "-c",
                        "fsync=off",
                        "-c",
                        "max_connections=50",
                    ),
                ],
                cwd=self.folder,
                stdout=log,
                stderr=log,
                user=_user(),
            )
        ends = time.monotonic() + _START_SECONDS
        while subprocess.run(
            [self._bin / "pg_isready", "-q", "-h", self.folder, "-d", "postgres"], check=False
        ).returncode:
            if self._process.poll() is not None or time.monotonic() > ends:
                raise AssertionError((self.folder / "log").read_text("utf-8")[-2_000:])
            time.sleep(0.05)

    def stop(self, sign: signal.Signals = signal.SIGQUIT) -> None:
        """End it: at once without a word to its clients, unless told otherwise."""
        if self._process is not None:
            self._process.send_signal(sign)
            self._process.wait(120)
            self._process = None

    def database(self, template: str = "template1") -> str:
        """Make an empty database, or a copy of another, and return its URL."""
        self._count += 1
        name = f"berth_{self._count}"
        self.sql(f"CREATE DATABASE {name} TEMPLATE {template}")
        return f"postgresql+psycopg://berth@/{name}?host={self.folder}"

    def sql(self, statement: str, database: str = "postgres") -> str:
        """Run a statement and return what it says."""
        return self._call(
            *("psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"),
            *("-h", str(self.folder), "-U", "berth", "-d", database, "-c", statement),
        )

    def _call(self, program: str, *arguments: str) -> str:
        done = subprocess.run(
            [self._bin / program, *arguments],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            user=_user(),
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


def _user() -> str | None:
    return _USER if os.geteuid() == 0 else None


@contextmanager
def running(address: str = "", network: str = "") -> Iterator[PostgresqlServer]:
    """Yield a running server, which listens as `PostgresqlServer` says.

    Skips the test by name where PostgreSQL is not installed.
    """
    found = programs()
    if found is None:
        pytest.skip("there is no PostgreSQL server (apt-get install postgresql)")
    # A socket's path may have 107 bytes at most, so the folder is not below that of the test.
    with tempfile.TemporaryDirectory(prefix="berth-pg-") as folder:
        Path(folder).chmod(0o755)
        server = PostgresqlServer(Path(folder), found, address, network)
        server.start()
        try:
            yield server
        finally:
            server.stop()
