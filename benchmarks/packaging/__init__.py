"""Benchmarks of packages: images, their security, their models."""
