"""Streaming, causal detection of signals outside what is normal."""
