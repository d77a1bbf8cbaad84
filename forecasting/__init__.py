"""Forecasts durations and resources of tasks as quantiles."""
