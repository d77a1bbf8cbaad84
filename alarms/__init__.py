"""Turns signals into alarms, super-alarms and ranked causes."""
