"""Benchmarks of alarms: detection, drift, grouping and root causes of any system."""
