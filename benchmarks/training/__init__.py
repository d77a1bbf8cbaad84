"""Benchmarks of training: search, parallel training, choice, compression."""
