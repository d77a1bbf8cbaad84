"""Benchmarks of forecasting."""
