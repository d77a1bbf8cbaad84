"""Limits on what is unpacked. What exceeds one is a finding, never an endless loop."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much is unpacked at most.

    members_max: in one archive. file_bytes_max: of one file that is looked at whole.
    bytes_max: unpacked of one file handed in, with everything inside it. ratio_max: unpacked bytes
    for each packed one, counted above `ratio_bytes_min`, since small texts pack well. depth_max:
    archives inside archives.
    """

    members_max: int = 10_000
    file_bytes_max: int = 1 << 30
    bytes_max: int = 8 << 30
    ratio_max: float = 100.0
    ratio_bytes_min: int = 1 << 20
    depth_max: int = 5
