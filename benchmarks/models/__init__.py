"""Benchmarks of models and of the runs that make them."""
