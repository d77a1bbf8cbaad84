"""What an installation says of its containers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerSettings:
    """How attempts become containers.

    image: what they run in, as podman knows it; it is there already, and never pulled by a start.
    podman: the program with what comes before its commands (`("podman", "--root", ...)`).
    options: further ones of `podman run`, after ours, so that they win (`("--network", "none")`).
    python: the interpreter in the image, 3.11 or newer, which runs the shim.
    """

    image: str
    podman: tuple[str, ...] = ("podman",)
    options: tuple[str, ...] = ()
    python: str = "python3"
