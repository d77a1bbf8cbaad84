"""Making plans, comparing them, and re-making them when the world changes."""

from engine.planning.actions import ActionReconciler as ActionReconciler
from engine.planning.changes import changed_request as changed_request
from engine.planning.changes import what_if as what_if
from engine.planning.differences import Change as Change
from engine.planning.differences import FieldChange as FieldChange
from engine.planning.differences import PlanDiff as PlanDiff
from engine.planning.differences import TaskDiff as TaskDiff
from engine.planning.differences import diff as diff
from engine.planning.differences import summary as summary
from engine.planning.planner import Planner as Planner
from engine.planning.planner import plan_id as plan_id
from engine.planning.running import current_fleet as current_fleet
from engine.planning.running import history as history
from engine.planning.running import running_reservations as running_reservations
from engine.planning.running import standing_servers as standing_servers
from engine.planning.sizing import ServiceSizing as ServiceSizing
from engine.planning.sweeps import Point as Point
from engine.planning.sweeps import Sweep as Sweep
from engine.planning.sweeps import sweep as sweep
from engine.planning.sweeps import values_of as values_of
from engine.planning.world import changed_since as changed_since
