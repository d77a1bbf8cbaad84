"""Groups alarms that are one event."""
