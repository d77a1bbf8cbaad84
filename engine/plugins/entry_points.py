"""Entry points of installed distributions, loaded with a clear error for a broken one."""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Iterable, Mapping

from engine.model.errors import FinalError

GROUPS = (
    "berth.forecasters",
    "berth.placers",
    "berth.executors",
    "berth.detectors",
    "berth.notifiers",
)
"""Groups in which Berth looks; the classes implement the port of that name in `engine.ports`."""


class PluginError(FinalError):
    """An entry point cannot be loaded."""

    default_code = "P001"


def load(group: str, *, path: Iterable[str] | None = None) -> Mapping[str, type]:
    """Return the classes that installed distributions register in a group, by name.

    path: folders to look for distributions in; None for `sys.path`.

    Raises:
        PluginError: naming the distribution at fault, when an entry point cannot be imported,
            is no class, or has the name of another one.
    """
    if group not in GROUPS:
        raise PluginError(f"{group!r} is no group of plugins; there are {', '.join(GROUPS)}")
    found: dict[str, type] = {}
    owners: dict[str, str] = {}
    folders = sys.path if path is None else list(path)
    for distribution in importlib.metadata.distributions(path=folders):
        entries = distribution.entry_points.select(group=group)
        # Reading the metadata of two hundred distributions that bring nothing takes 0.1 s.
        owner = f"{distribution.metadata['Name']} {distribution.version}" if entries else ""
        for entry in entries:
            if entry.name in found:
                raise _broken(entry, owner, f"{owners[entry.name]} has the same name")
            found[entry.name] = _class(entry, owner)
            owners[entry.name] = owner
    return dict(sorted(found.items()))


def _class(entry: importlib.metadata.EntryPoint, owner: str) -> type:
    try:
        loaded = entry.load()
    except Exception as error:
        raise _broken(entry, owner, f"{type(error).__name__}: {error}") from error
    if not isinstance(loaded, type):
        raise _broken(entry, owner, "it is no class")
    return loaded


def _broken(entry: importlib.metadata.EntryPoint, owner: str, why: str) -> PluginError:
    return PluginError(
        f"plugin {entry.name!r} of {owner} ({entry.group} = {entry.value}) cannot be used: {why}",
        fix=f"update or remove the distribution {owner.partition(' ')[0]!r}",
    )
