"""Benchmarks of the loop as a whole."""
