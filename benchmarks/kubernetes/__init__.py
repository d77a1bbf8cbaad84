"""Benchmarks against real control planes of Kubernetes."""
