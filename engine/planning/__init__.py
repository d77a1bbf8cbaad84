"""Making plans, comparing them, and re-making them when the world changes."""

from engine.planning.planner import Planner as Planner
from engine.planning.planner import plan_id as plan_id
