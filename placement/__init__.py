"""Decides where and when tasks run, and says why."""

from placement.placer import CpSatPlacer

__all__ = ["CpSatPlacer"]
