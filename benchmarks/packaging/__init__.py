"""Benchmarks of packaging and of the way from a push to an answer."""
