"""Benchmarks of packages: images, their security, and the way from a push to an answer."""
