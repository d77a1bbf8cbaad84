"""The settings of one installation, checked and frozen."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PORT = 8750
"""Where the engine listens unless told otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that may be set; every field has a default but the data folder.

    home: the data folder. fleet: the fleet file; None means this machine alone.
    rules: expert rules of the alarms; None means those that are built in.
    topology: file that says what calls what and what stands together; None where nobody says.
    demand: file with past demand by pool, for capacity planning; None where there is none.
    history: file with past runs of tasks, to forecast from before there are own ones.
    kubernetes: settings of the Kubernetes clusters (`kubernetes.toml`); None where there are none.
    senders: folder with a token for each system that sends alerts or signals; None means
        `senders` in the data folder.
    prometheus: file with queries that are asked of Prometheus; None for none.
    channels: file with the channels of notifications; None for none.
    mlflow: address of MLflow's tracking server, to which trainings are exported; "" for none.
    database: URL of the ledger; "" means `berth.sqlite` in the data folder.
    replica: name of this engine among several on one data folder and one PostgreSQL, of which one
        leads; "" means that it is alone. lease_seconds: how long the others wait for a leader
        that is silent.
    port: 0 takes a free one. zone: IANA name of the zone in which times are told.
    clock_factor: how many times faster than the wall clock the engine waits: windows, seasons,
        cool-downs and waits are divided by it, measurements never are.
    window_seconds, season_seconds: length of a watch window and of one season of signals, before
        the clock factor.
    forecaster, placer, detector: names of installed plugins to use instead of the built-in ones;
        "" for those.
    container_image: what tasks of clusters with `executor: containers` run in; "" where none has.
    container_podman, container_options: the words by which podman is called, and further options
        of `podman run`. container_python: the interpreter in the image.
    sizing: what the hourly sizes of services are for: `advise` tells people, `apply` also restarts
        a service whose new size repays it.
    acts: what the watch loop may do without a person: some of `re-plan`, `retrain`, `stop`, `retry`
        and `roll back`, with commas between, or `none`.
    acts_per_day, acts_budget: most stops, retries and roll-backs of each pipeline within a day, of
        each kind, and what the retries of it may cost in US dollars; None: no bound. A pipeline
        bounds its retrainings itself.
    flap_seconds: how long after a super-alarm closed by itself the same alarms reopen it, before
        the clock factor; 0: they open a new one.
    runs_kept_days: how long what a run left stays, from its start: files and logs of its attempts,
        artefacts that nothing else refers to; before the clock factor. That of the newest 50 runs
        and of what serves stays longer.
    demand_network: whether a network competes to forecast demand, `on` or `off`; it needs torch.
    work_limit: deterministic work units of the solver for one plan, about a second each.
    request_bytes_max: largest body of a request that is read.
    crash_at, crash_record: for tests of recovery: the crash points at which to die (`POINT` or
        `POINT#COUNT`, with blanks between), and a file that lists the points passed.
    """

    home: Path
    fleet: Path | None = None
    rules: Path | None = None
    topology: Path | None = None
    demand: Path | None = None
    history: Path | None = None
    kubernetes: Path | None = None
    senders: Path | None = None
    prometheus: Path | None = None
    channels: Path | None = None
    mlflow: str = ""
    database: str = ""
    host: str = "127.0.0.1"
    port: int = PORT
    replica: str = ""
    lease_seconds: float = 15.0
    zone: str = "UTC"
    clock_factor: float = 1.0
    window_seconds: float = 60.0
    season_seconds: float = 86_400.0
    seed: int = 0
    forecaster: str = ""
    placer: str = ""
    detector: str = ""
    container_image: str = ""
    container_podman: str = "podman"
    container_options: str = ""
    container_python: str = "python3"
    sizing: str = "advise"
    acts: str = "re-plan, retrain, stop, retry, roll back"
    acts_per_day: int = 3
    acts_budget: float | None = None
    flap_seconds: float = 1_800.0
    runs_kept_days: float = 14.0
    demand_network: str = "off"
    work_limit: float = 4.0
    request_bytes_max: int = 4_194_304
    crash_at: str = ""
    crash_record: Path | None = None

    @property
    def database_url(self) -> str:
        """URL of the ledger."""
        return self.database or f"sqlite:///{self.home / 'berth.sqlite'}"

    @property
    def senders_folder(self) -> Path:
        """Where the tokens of senders stand."""
        return self.senders or self.home / "senders"

    @property
    def engine_file(self) -> Path:
        """Where a running engine writes its process id and address."""
        return self.home / (f"engine-{self.replica}.json" if self.replica else "engine.json")

    @property
    def lock_file(self) -> Path:
        """Locked by the engine that owns the data folder."""
        return self.home / "engine.lock"

    def scaled(self, seconds: float) -> float:
        """Return a waiting time after the clock factor."""
        return seconds / self.clock_factor
