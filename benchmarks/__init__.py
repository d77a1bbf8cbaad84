"""Benchmarks with bars: `python -m benchmarks list` names them."""
