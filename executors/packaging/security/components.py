"""Installed Python distributions, read straight from their `*.dist-info` folders.

Nothing is imported or run: a component is what its `METADATA` says (core metadata 2.4 and older).
`sbom` writes components down, `scanning.licences` judges them.
"""

from __future__ import annotations

import email.parser
import functools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path, PurePosixPath

from executors.packaging.security import layouts

_METADATA_BYTES_MAX = 4 << 20
_SEPARATORS = re.compile(r"[-_.]+")
_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)")
_CLASSIFIER = "License :: "
_EXPRESSION = re.compile(r"[A-Za-z0-9.+() -]{1,120}")
_SPDX = {
    "MIT License": "MIT",
    "Apache Software License": "Apache-2.0",
    "ISC License (ISCL)": "ISC",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Mozilla Public License 1.1 (MPL 1.1)": "MPL-1.1",
    "Python Software Foundation License": "PSF-2.0",
    "The Unlicense (Unlicense)": "Unlicense",
    "CC0 1.0 Universal (CC0 1.0) Public Domain Dedication": "CC0-1.0",
    "Zope Public License": "ZPL-2.1",
    "GNU General Public License v2 (GPLv2)": "GPL-2.0-only",
    "GNU General Public License v2 or later (GPLv2+)": "GPL-2.0-or-later",
    "GNU General Public License v3 (GPLv3)": "GPL-3.0-only",
    "GNU General Public License v3 or later (GPLv3+)": "GPL-3.0-or-later",
    "GNU Affero General Public License v3": "AGPL-3.0-only",
    "GNU Affero General Public License v3 or later (AGPLv3+)": "AGPL-3.0-or-later",
    "GNU Lesser General Public License v2 or later (LGPLv2+)": "LGPL-2.0-or-later",
    "GNU Lesser General Public License v3 (LGPLv3)": "LGPL-3.0-only",
    "GNU Lesser General Public License v3 or later (LGPLv3+)": "LGPL-3.0-or-later",
}
"""Classifiers that name one licence exactly; "BSD License" may be any of several."""
_SHORT = {
    "mit": "MIT",
    "mit license": "MIT",
    "the mit license": "MIT",
    "apache 2.0": "Apache-2.0",
    "apache-2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "apache software license 2.0": "Apache-2.0",
    "bsd-3-clause": "BSD-3-Clause",
    "bsd 3-clause": "BSD-3-Clause",
    "bsd 3-clause license": "BSD-3-Clause",
    "3-clause bsd license": "BSD-3-Clause",
    "bsd-2-clause": "BSD-2-Clause",
    "mpl-2.0": "MPL-2.0",
    "psf-2.0": "PSF-2.0",
    "isc": "ISC",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """One installed distribution.

    name: normalised as PyPI does. expression: an SPDX licence expression, "" when the metadata
    gives none; licence_name: what it says in other words, "" when nothing. requires: normalised
    names that it needs without extras. place: where its metadata stood.
    """

    name: str
    version: str
    expression: str = ""
    licence_name: str = ""
    summary: str = ""
    requires: tuple[str, ...] = ()
    place: str = ""

    @property
    def purl(self) -> str:
        """Package URL of the distribution."""
        return f"pkg:pypi/{self.name}@{self.version.replace('+', '%2B')}"


def normalised(name: str) -> str:
    """Return a distribution's name as PyPI compares it (PEP 503)."""
    return _SEPARATORS.sub("-", name).lower()


def parse(text: str, place: str) -> Component | None:
    """Return the component of a `METADATA` file; None when it names nothing."""
    message = email.parser.HeaderParser().parsestr(text)
    name, version = str(message.get("Name", "")), str(message.get("Version", ""))
    if not name or not version:
        return None
    classifiers = [str(line) for line in message.get_all("Classifier", [])]
    expression, licence_name = _licence(
        str(message.get("License-Expression", "")), str(message.get("License", "")), classifiers
    )
    return Component(
        name=normalised(name),
        version=version,
        expression=expression,
        licence_name=licence_name,
        summary=" ".join(str(message.get("Summary", "")).split())[:300],
        requires=_requires([str(line) for line in message.get_all("Requires-Dist", [])]),
        place=place,
    )


def of_folder(folder: Path) -> tuple[Component, ...]:
    """Return what is installed anywhere below a folder, such as a virtual environment."""
    paths = [*folder.rglob("*.dist-info/METADATA")]
    if folder.name.endswith(".dist-info"):
        paths.append(folder / "METADATA")
    texts = (
        (path.relative_to(folder).as_posix(), path.read_bytes()[:_METADATA_BYTES_MAX])
        for path in paths
        if path.is_file()
    )
    return _sorted(texts)


def of_image(manifest: layouts.Manifest) -> tuple[Component, ...]:
    """Return what the layers of an image have installed."""
    found: list[tuple[str, bytes]] = []
    for entry, reader in layouts.layer_files(manifest):
        path = PurePosixPath(entry.name)
        if reader and path.name == "METADATA" and path.parent.suffix == ".dist-info":
            found.append((entry.name, reader.read(_METADATA_BYTES_MAX)))
    return _sorted(found)


@functools.cache
def of_names(names: tuple[str, ...]) -> tuple[Component, ...]:
    """Return distributions of this interpreter, and all that they need; those absent are left out.

    Read through the interpreter's own index of what is installed, so nothing is imported; once a
    process, for what it runs does not change under it.
    """
    found: dict[str, Component] = {}
    waiting = [normalised(name) for name in names]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        try:
            text = metadata.distribution(name).read_text("METADATA")
        except metadata.PackageNotFoundError:
            continue
        component = parse(text or "", f"{name}.dist-info/METADATA")
        if component is not None:
            found[name] = component
            waiting.extend(component.requires)
    return tuple(found[name] for name in sorted(found))


def _sorted(texts: Iterable[tuple[str, bytes]]) -> tuple[Component, ...]:
    """Return components by name and version, each once."""
    found: dict[tuple[str, str], Component] = {}
    for place, data in texts:
        component = parse(data.decode("utf-8", "replace"), place)
        if component is not None:
            key = (component.name, component.version)
            known = found.get(key)
            found[key] = component if known is None or component.place < known.place else known
    return tuple(found[key] for key in sorted(found))


def _licence(expression: str, text: str, classifiers: Sequence[str]) -> tuple[str, str]:
    """Return SPDX expression and other words, the most exact source first."""
    if _EXPRESSION.fullmatch(expression):
        return expression, ""
    listed = [line.rpartition(" :: ")[2] for line in classifiers if line.startswith(_CLASSIFIER)]
    exact = sorted({_SPDX[line] for line in listed if line in _SPDX})
    if exact and len(exact) == len(set(listed)):
        return " OR ".join(exact), ""
    first = text.strip().splitlines()[0].strip() if text.strip() else ""
    if first.lower() in _SHORT:
        return _SHORT[first.lower()], ""
    named = ", ".join(sorted(set(listed) - {"OSI Approved"}))
    return "", (named or first or "OSI Approved" * bool(listed))[:120]


def _requires(lines: Sequence[str]) -> tuple[str, ...]:
    """Return what is needed whatever extras are asked for; markers of platforms are kept in."""
    names: set[str] = set()
    for line in lines:
        requirement, _, marker = line.partition(";")
        match = _REQUIREMENT.match(requirement)
        if match and "extra" not in marker:
            names.add(normalised(match[1]))
    return tuple(sorted(names))
