"""Turns signals into alarms, super-alarms and ranked causes."""

from alarms.detection.detector import StatisticalDetector as StatisticalDetector
from alarms.detection.settings import DetectionSettings as DetectionSettings
from alarms.grouping.alert import Alert as Alert
from alarms.grouping.naming import alert_of as alert_of
from alarms.grouping.streaming import StreamGrouper as StreamGrouper
from alarms.grouping.streaming import StreamSettings as StreamSettings
from alarms.grouping.super_alarms import GroupingSettings as GroupingSettings
from alarms.grouping.super_alarms import SuperAlarmGrouper as SuperAlarmGrouper
from alarms.grouping.topology import topology as topology
from alarms.notification.files import FileNotifier as FileNotifier
from alarms.rootcause.tree import CauseSettings as CauseSettings
from alarms.rootcause.tree import HypothesisTree as HypothesisTree
from alarms.rules.detection import Detection as Detection
from alarms.rules.detection import RuleDetector as RuleDetector
from alarms.rules.files import load_rules as load_rules
from alarms.rules.model import RuleSet as RuleSet
