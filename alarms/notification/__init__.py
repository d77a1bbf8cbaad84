"""Tells people about super-alarms."""
