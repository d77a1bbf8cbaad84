"""Benchmarks of detection, grouping and root causes."""
