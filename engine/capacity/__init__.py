"""Demand of pools against what the fleet has: when it runs short, and the cheapest answer."""

from __future__ import annotations

from engine.capacity.demand import NUMBERED_BEFORE, read_demand
from engine.capacity.holidays import read_holidays
from engine.capacity.options import Assumptions
from engine.capacity.planner import CapacityPlanner

__all__ = ["NUMBERED_BEFORE", "Assumptions", "CapacityPlanner", "read_demand", "read_holidays"]
