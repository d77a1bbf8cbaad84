"""Whether the registries answer to which packages are pushed as modelcars, for `berth doctor`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from engine.model.errors import BerthError, UnreachableError
from executors.kubernetes.settings import ClusterSettings
from executors.packaging.oci import credentials, distribution, transport

_SECONDS_MOST = 5.0
_OK = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A registry that was asked, and which clusters pull from it; message and fix in words."""

    host: str
    clusters: tuple[str, ...]
    fine: bool
    message: str
    fix: str = ""


def ask_registries(
    clusters: Iterable[ClusterSettings], environment: Mapping[str, str]
) -> Iterator[Asked]:
    """Yield, for each registry in the settings of clusters, whether it answers and lets us in.

    Whether we may push is seen at a push only: to try would leave something there.
    environment: where logins are looked for.
    """
    pulled: dict[str, list[str]] = {}
    for given in clusters:
        if given.modelcars:
            pulled.setdefault(distribution.parse(given.modelcars).host, []).append(given.name)
    for host, names in pulled.items():
        whose = f"modelcars of {', '.join(names)}"
        fine, message, fix = True, f"answers, and takes {whose}", ""
        try:
            _greet(host, environment)
        except UnreachableError as error:
            fine, message = False, f"{error.message}; it is to take {whose}"
            fix = (
                "start it, or name another as `modelcars`: no new model is served there until then"
            )
        except BerthError as error:
            fine, message, fix = False, f"{error.message}; it is to take {whose}", error.fix
        yield Asked(host=host, clusters=tuple(names), fine=fine, message=message, fix=fix)


def _greet(host: str, environment: Mapping[str, str]) -> None:
    """Ask for the root of the distribution API, logging in where that is asked for.

    Raises:
        UnreachableError: when it does not answer.
        RefusedError: when it does not let us in, or is no registry.
    """
    found = credentials.find(host, environment)
    connection = transport.Transport(host, found, timeout_seconds=_SECONDS_MOST)
    try:
        transport.expect(connection.ask("GET", "/v2/"), (_OK,), "its API", host)
    finally:
        connection.close()
