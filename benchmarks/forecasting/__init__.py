"""Benchmarks of profiles and of demand series."""
