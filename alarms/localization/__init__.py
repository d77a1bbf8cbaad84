"""Finds where trouble started in any system: component, service, metric, attributes, order."""
